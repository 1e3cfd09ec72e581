"""`python -m benchmarks`: what the service must reach, measured in one run; see
docs/performance.md. `python -m benchmarks report RESULT.json` writes a run into that page.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import (
    growth,
    indexing,
    machine,
    memory,
    patching,
    pushing,
    report,
    searching,
    searching_under_load,
)
from benchmarks.bench import FULL, QUICK, SMOKE, Bench, Sizes
from benchmarks.photos import drawn_photos, photos_of
from benchmarks.picture_server import PictureServer
from benchmarks.plot import draw
from benchmarks.results import Measured, Results
from benchmarks.service import encoders_of, running_stack

_MEASUREMENTS: Final[Mapping[str, Callable[[Bench], Measured]]] = {
    "indexing": indexing.measure,
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
_READY_SECONDS: Final = 600.0


def main() -> None:
    """Measures and prints, or writes a run into the page."""
    if sys.argv[1:2] == ["report"]:
        _report()
    else:
        _run()


def _run() -> None:
    options = _options()
    names = options.only or [
        name for name in _MEASUREMENTS if options.form == "full" or name not in _NOT_QUICK
    ]
    on, began = machine.describe(), time.monotonic()
    for warning in machine.warnings(on):
        print(warning, file=sys.stderr)
    measured: dict[str, Measured] = {}
    for name, one, encoders in _measure(options, names):
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
            measured=measured,
        )
        # Each time, so that what was measured isn't lost with what comes after it.
        options.output.write_text(results.model_dump_json(indent=1))
    report.show(results)
    plot = options.output.with_suffix(".png")
    draw(results.rows, plot)
    print(f"kept in {options.output} and {plot}")


def _measure(
    options: argparse.Namespace, names: Sequence[str]
) -> Iterator[tuple[str, Measured, Mapping[str, str]]]:
    sizes = _FORMS[options.form]
    with tempfile.TemporaryDirectory(prefix="vitrine-photos-") as scratch:
        files = _write_photos(options.photos, sizes.photos, Path(scratch))
        with running_stack(options.model) as stack, PictureServer(Path(scratch)) as pictures:
            stack.wait_until_ready(_READY_SECONDS)
            bench = Bench(stack, pictures, files, sizes)
            bench.wait_for_worker()
            encoders = encoders_of(stack)
            for name in names:
                began = time.monotonic()
                print(f"{name}…", end=" ", file=sys.stderr, flush=True)
                yield name, _MEASUREMENTS[name](bench), encoders
                print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


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
    parser.add_argument("--model", default="ViT-B-32", help="open_clip's name (%(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("var/benchmark.json"), help="(%(default)s)"
    )
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    return options


def _report() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks report")
    parser.add_argument("result", type=Path, help="what a run has kept")
    options = parser.parse_args(sys.argv[2:])
    results = Results.model_validate_json(options.result.read_text())
    report.write(results)
    report.show(results)


if __name__ == "__main__":
    main()
