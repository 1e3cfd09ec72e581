"""Pictures indexed in int8, by a service of its own, beside open_clip's plain loop.

The image tower is quantized as `make quantize` does it, with some of the pictures of the run. The
weights being random, nothing is said here of what int8 finds: only how fast it is.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.measures.indexing import WARM_UP, index, ratios
from benchmarks.measures.plain_loops import Loop, open_clip_files, quantizing
from benchmarks.photos import drawn_photos
from benchmarks.results import Measured, Row
from benchmarks.service import encoders_of, running_stack, wait_until_ready
from shared.embedding.openvino.quantization import LEAST_PICTURES
from shared.settings import Settings

_ROUNDS: Final = 3
_CONVERTED: Final = "converted-models"


def measure(bench: Bench) -> Measured:
    """Each round runs both, one after the other; ratios are those of one round.

    The other service stands still meanwhile.
    """
    quantized: dict[str, Any] = {}
    with TemporaryDirectory(prefix="vitrine-quantize-") as scratch:
        pictures = _pictures(bench.files, Path(scratch))
        prepare = partial(_quantized, bench, pictures, quantized)
        with running_stack(bench.settings.clip_model, prepare=prepare) as stack:
            wait_until_ready(stack)
            ours = Bench(stack, bench.pictures, bench.files, bench.sizes)
            ours.wait_for_worker()
            encoders = encoders_of(stack)
            rates = _rates(ours)
    row = Row(
        name="index pictures in int8 ÷ open_clip fp32, batch 32, from files",
        values=ratios(rates["service"], rates["open_clip"]),
        unit="×",
        target=3.0,
        at_least=True,
        note=f"int8 calibrated on {quantized['calibrated']} of the pictures",
    )
    details = {"pictures_per_second": rates, "quantized": quantized, "encoders": encoders}
    return Measured(rows=[row], details=details)


def _rates(bench: Bench) -> Mapping[str, list[float]]:
    """Pictures a second."""
    count = bench.sizes.pictures
    paths = [bench.files[at % len(bench.files)] for at in range(count)]
    rates: dict[str, list[float]] = {"service": [], "open_clip": []}
    with Loop(open_clip_files, bench.settings_with_servers) as open_clip:
        open_clip(paths[:WARM_UP])
        index(bench, WARM_UP)
        for _ in range(min(_ROUNDS, bench.sizes.rounds)):
            rates["open_clip"].append(count / open_clip(paths))
            rates["service"].append(count / index(bench, count))
    return rates


def _quantized(bench: Bench, pictures: Path, facts: dict[str, Any], settings: Settings) -> Settings:
    """Settings of a service in int8; the converted model is in its data directory."""
    # The running service has converted the model already.
    held = bench.stack.data_dir / _CONVERTED
    if held.exists():
        shutil.copytree(held, settings.data_dir / _CONVERTED)
    settings = settings.model_copy(update={"clip_backend": "auto", "clip_precision": "int8"})
    with Loop(quantizing, settings.model_dump()) as quantize:
        facts.update(quantize(pictures))
    print(f"({facts})", end=" ", file=sys.stderr, flush=True)
    return settings


def _pictures(files: Sequence[Path], scratch: Path) -> Path:
    """A folder of as many pictures as quantizing asks for, so that it takes no longer than it must:
    those of the run, or drawn ones if they are too few."""
    contents = (
        [path.read_bytes() for path in files[:LEAST_PICTURES]]
        if len(files) >= LEAST_PICTURES
        else drawn_photos(LEAST_PICTURES)
    )
    for number, content in enumerate(contents):
        (scratch / f"{number}.jpg").write_bytes(content)
    return scratch
