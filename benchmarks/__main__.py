"""`python -m benchmarks`: the targets of the service, measured in one run; see
docs/performance.md. `python -m benchmarks report RESULT.json` writes a run into that page.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import machine, memory, report
from benchmarks.bench import FULL, QUICK, SMOKE, Bench, Sizes
from benchmarks.measures import (
    growth,
    indexing,
    patching,
    pushing,
    quantized,
    searching,
    searching_under_load,
)
from benchmarks.photos import drawn_photos, photos_of
from benchmarks.picture_server import PictureServer
from benchmarks.results import Measured, Results
from benchmarks.service import encoders_of, running_stack, wait_until_ready

_MEASUREMENTS: Final[Mapping[str, Callable[[Bench], Measured]]] = {
    "indexing": indexing.measure,
    "int8": quantized.measure,
    "searching": searching.measure,
    "pushing": pushing.measure,
    "patching": patching.measure,
    "load": searching_under_load.measure,
    "memory": memory.measure,
    "growth": growth.measure,
}
"""In the order in which they run: the index grows, so that what needs an empty one comes first."""

_FORMS: Final[Mapping[str, Sizes]] = {"full": FULL, "quick": QUICK, "smoke": SMOKE}
_NOT_QUICK: Final = frozenset({"growth"})
_ASKED_FOR: Final = frozenset({"int8"})
"""Measurements that run only if an option says so."""


def main() -> None:
    """Measures and prints, or writes a run into the page."""
    if sys.argv[1:2] == ["report"]:
        _report()
    else:
        _run()


def _run() -> None:
    options = _options()
    on, began = machine.describe(), time.monotonic()
    for warning in machine.warnings(on):
        print(warning, file=sys.stderr)
    measured = dict(_kept(options.output).measured) if options.merge else {}
    results, failed = None, []
    for name, one, encoders in _measure(options, _names(options)):
        if one is None:
            failed.append(name)
            continue
        measured[name] = one
        results = Results(
            machine=on,
            run={
                "date": datetime.now(UTC).date().isoformat(),
                "form": options.form,
                "minutes": round((time.monotonic() - began) / 60, 1),
                "model": f"{options.model}, random weights",
                "encoders": encoders,
                "pictures": "--photos" if options.photos else "drawn, 800 × 1,000 pixels",
            },
            measured={each: measured[each] for each in _MEASUREMENTS if each in measured},
        )
        # Each time, so that what was measured isn't lost with what comes after it.
        options.output.write_text(results.model_dump_json(indent=1))
    if results:
        report.show(results)
        print(f"kept in {options.output}")
    if failed:
        print(f"--only {' '.join(failed)} --merge measures what failed", file=sys.stderr)
        sys.exit(1)


def _names(options: argparse.Namespace) -> Sequence[str]:
    """The measurements to make."""
    if options.only:
        return [name for name in _MEASUREMENTS if name in options.only]
    left_out = (_NOT_QUICK if options.form != "full" else frozenset()) | (
        frozenset() if options.int8 else _ASKED_FOR
    )
    return [name for name in _MEASUREMENTS if name not in left_out]


def _measure(
    options: argparse.Namespace, names: Sequence[str]
) -> Iterator[tuple[str, Measured | None, Mapping[str, str]]]:
    """Each measurement as it ends; None for one that failed, whose reason is printed."""
    sizes = _FORMS[options.form]
    with tempfile.TemporaryDirectory(prefix="vitrine-photos-") as scratch:
        files = _write_photos(options.photos, sizes.photos, Path(scratch))
        with running_stack(options.model) as stack, PictureServer(Path(scratch)) as pictures:
            wait_until_ready(stack)
            bench = Bench(stack, pictures, files, sizes)
            bench.wait_for_worker()
            encoders = encoders_of(stack)
            for name in names:
                began = time.monotonic()
                print(f"{name}…", end=" ", file=sys.stderr, flush=True)
                try:
                    measured = _MEASUREMENTS[name](bench)
                except Exception:
                    # The others need not be measured again for it.
                    traceback.print_exc()
                    measured = None
                yield name, measured, encoders
                print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


def _kept(output: Path) -> Results:
    return Results.model_validate_json(output.read_text())


def _write_photos(given: Path | None, count: int, folder: Path) -> Sequence[Path]:
    photos = photos_of(given, count) if given else drawn_photos(count)
    files = []
    for number, content in enumerate(photos):
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(content)
    return files


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures what docs/performance.md shows. Leave the machine alone meanwhile.",
    )
    parser.set_defaults(form="full")
    parser.add_argument(
        "--quick",
        dest="form",
        action="store_const",
        const="quick",
        help="smaller sizes: under 5 minutes on 2 idle cores",
    )
    parser.add_argument(
        "--smoke",
        dest="form",
        action="store_const",
        const="smoke",
        help="tiny sizes, to see that it works; its numbers mean nothing",
    )
    parser.add_argument("--photos", type=Path, help="a folder of pictures, instead of drawn ones")
    parser.add_argument("--only", nargs="+", choices=_MEASUREMENTS, help="some measurements alone")
    parser.add_argument("--int8", action="store_true", help="int8 besides: some minutes more")
    parser.add_argument("--merge", action="store_true", help="keep the output's other measurements")
    parser.add_argument("--model", default="ViT-B-32", help="open_clip's name (%(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("var/benchmark.json"), help="(%(default)s)"
    )
    options = parser.parse_args()
    if options.merge and not options.output.exists():
        parser.error(f"--merge: there is no {options.output} yet")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    return options


def _report() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks report")
    parser.add_argument("result", type=Path, help="the file of a run")
    options = parser.parse_args(sys.argv[2:])
    results = _kept(options.result)
    report.write(results)
    report.show(results)


if __name__ == "__main__":
    main()
