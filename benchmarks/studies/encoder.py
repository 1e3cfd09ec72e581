"""How fast the backends run a model, in ratios of one run: `python -m benchmarks.studies.encoder`.

Backends take turns within every round, so that other work on the machine hits them alike; what is
printed are medians and their ratios to torch in fp32. ViT-B-32 gets random weights: they cost what
trained ones cost. Starts are measured in processes of their own, the first with nothing on disk.
The int8 form is calibrated on pictures that we draw, or on yours (`--pictures`).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.photos import drawn_photos
from shared.embedding.encoder import Encoder, Tower
from shared.embedding.open_clip.torch_backend import TorchEncoder
from shared.embedding.openvino.backend import OpenVinoEncoder
from shared.embedding.openvino.quantization import LEAST_PICTURES, quantize_image_tower
from shared.embedding.openvino.runtime import Precision, cpu_name, supported_precisions
from shared.settings import Settings

MODEL, WEIGHTS = "ViT-B-32", "random"
IMAGE_BATCHES = (1, 8, 16, 32, 64)
BASE = "torch fp32"
QUERIES = (
    "red summer dress",
    "black leather boots for women",
    "blue shirt with white dots",
    "warm winter jacket",
    "white trainers with a thick sole",
    "green cotton trousers for hiking in summer",
    "small brown handbag",
    "robe rouge à pois blancs",
)

START = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
from shared.embedding.bootstrap import load_embedding_service
from shared.settings import Settings
imported = time.perf_counter()
model, weights, backend, tower, directory = sys.argv[1:]
settings = Settings(_env_file=None, clip_model=model, clip_pretrained=weights,
                    clip_backend=backend, data_dir=Path(directory))
service = load_embedding_service(settings, frozenset({tower}), threads=2)
service.check(timeout=120)
ready = time.perf_counter()
lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
memory = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in
          ("VmHWM:", "VmRSS:", "RssAnon:")}
print(json.dumps([imported - started, ready - imported, memory]))
"""


def encoders(
    data_dir: Path, threads: int, tower: Tower, pictures: Path | None = None
) -> dict[str, Encoder]:
    """Every backend in every precision of this CPU, with one tower; int8 if given `pictures`."""
    directory = data_dir / "converted-models"
    towers: frozenset[Tower] = frozenset({tower})
    made: dict[str, Encoder] = {
        BASE: TorchEncoder(MODEL, WEIGHTS, towers, device="cpu", threads=threads)
    }
    order: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
    for precision in order:
        if precision in supported_precisions():
            made[f"openvino {precision}"] = OpenVinoEncoder(
                MODEL, WEIGHTS, towers, directory=directory, precision=precision, threads=threads
            )
    if pictures is not None:
        settings = Settings(
            _env_file=None, clip_model=MODEL, clip_pretrained=WEIGHTS, data_dir=data_dir
        )
        quantize_image_tower(settings, pictures, print)
        made["openvino int8"] = OpenVinoEncoder(
            MODEL, WEIGHTS, towers, directory=directory, quantized=True, threads=threads
        )
    return made


def in_turns(
    calls: dict[str, Callable[[], object]], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds on the clock and of CPU time, per backend and round."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            clock, cpu = time.perf_counter(), time.process_time()
            call()
            found[name][0].append(time.perf_counter() - clock)
            found[name][1].append(time.process_time() - cpu)
    return found


def report(what: str, per: int, found: dict[str, tuple[list[float], list[float]]]) -> None:
    base_clock, base_cpu = (statistics.median(values) for values in found[BASE])
    for name, (clock, cpu) in found.items():
        one, other = statistics.median(clock), statistics.median(cpu)
        print(
            f"{what:26} {name:14} {1000 * one / per:8.1f} ms {base_clock / one:6.2f} x"
            f"   CPU {1000 * other / per:8.1f} ms {base_cpu / other:6.2f} x"
        )


def images(data_dir: Path, threads: int, rounds: int, pictures: Path | None) -> None:
    if pictures is None:
        pictures = data_dir / "drawn"
        pictures.mkdir()
        for number, data in enumerate(drawn_photos(LEAST_PICTURES)):
            (pictures / f"{number}.jpg").write_bytes(data)
    made = encoders(data_dir, threads, "image", pictures)
    edge = made[BASE].image_edge
    pixels = np.random.default_rng(0).normal(size=(64, 3, edge, edge)).astype(np.float32)
    for size in IMAGE_BATCHES:
        batch = list(pixels[:size])
        calls = {name: _images_call(encoder, batch) for name, encoder in made.items()}
        report(f"image, batch {size}, each", size, in_turns(calls, rounds))


def texts(data_dir: Path, threads: int, rounds: int) -> None:
    made = encoders(data_dir, threads, "text")
    batch = [made[BASE].pre_text(query) for query in QUERIES]
    for what, group, per in (("query alone", batch, len(batch)), ("eight together", [batch], 1)):
        calls = {name: _texts_call(encoder, group) for name, encoder in made.items()}
        report(what, per, in_turns(calls, rounds))


def starts(directory: Path) -> None:
    for tower in ("text", "image"):
        for backend, what in (("torch", "torch"), ("auto", "first"), ("auto", "second")):
            arguments = [MODEL, WEIGHTS, backend, tower, str(directory)]
            ended = subprocess.run(  # noqa: S603  # our own interpreter and our own words
                [sys.executable, "-c", START, *arguments],
                check=True,
                capture_output=True,
                text=True,
                timeout=900,
            )
            imports, ready, memory = json.loads(ended.stdout.splitlines()[-1])
            print(
                f"start, {tower:5} {what:6} imports {imports:5.1f} s, model {ready:5.1f} s; MB: "
                + ", ".join(f"{name} {value:.0f}" for name, value in memory.items())
            )


def _images_call(encoder: Encoder, batch: Sequence[Any]) -> Callable[[], object]:
    return lambda: encoder.core_images(batch)


def _texts_call(encoder: Encoder, group: Sequence[Any]) -> Callable[[], object]:
    if isinstance(group[0], list):
        return lambda: encoder.core_texts(group[0])
    return lambda: [encoder.core_texts([each]) for each in group]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=["starts", "texts", "images"])
    parser.add_argument("--pictures", type=Path, help="a folder of photos to calibrate int8 on")
    options = parser.parse_args()
    print(f"{cpu_name()}, {options.threads} threads, median of {options.rounds} rounds in turns")
    print(f"Ratios: how many times as fast as {BASE}")
    with tempfile.TemporaryDirectory() as name:
        if options.only in (None, "starts"):
            starts(Path(name))
        if options.only in (None, "texts"):
            texts(Path(name), options.threads, options.rounds)
        if options.only in (None, "images"):
            images(Path(name), options.threads, options.rounds, options.pictures)


if __name__ == "__main__":
    main()
