"""What one would write without this project, each in a process of its own with its own model.

- `open_clip_files`: open_clip's preprocessing and `encode_image`, fp32, batches of 32, from files.
- `own_files`: our decoding and our encoder, one step after the other, from files.
- `naive`: download, embed and upsert one picture after the other.
- `own_text`: our text tower alone, one query after the other.
- `quantizing`: no loop at all, but work that takes memory which its process gives back.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final

from benchmarks.closing import Closing
from shared.logs import configure_logging

Settings = Mapping[str, Any]
"""Fields of the stack's settings, with the servers' addresses."""

Work = Callable[[Any], Any]

_BATCH: Final = 32
_CHUNK: Final = 64
"""Pictures decoded before our encoder gets them; it cuts them into batches of its own size."""


class Loop(Closing):
    """The process with its model in memory. Use it as a context manager, then call it."""

    def __init__(self, build: Callable[[Settings], Work], settings: Settings) -> None:
        """`build` runs in the process and gives what each call runs there."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(build, settings, other), daemon=True)
        self._process.start()
        other.close()

    def __call__(self, argument: Any) -> Any:
        """The result of the work. Raises EOFError if the process has died, its reason printed."""
        self._pipe.send(argument)
        return self._pipe.recv()

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join()


def _serve(build: Callable[[Settings], Work], settings: Settings, pipe: Pipe) -> None:
    configure_logging("ERROR", "benchmark")  # that the weights are random is known
    work = build(settings)
    while True:
        pipe.send(work(pipe.recv()))


def open_clip_files(settings: Settings) -> Work:
    """Pictures' paths to seconds."""
    import torch  # noqa: PLC0415 - each process loads what it needs alone
    from PIL import Image  # noqa: PLC0415

    model, preprocess = _open_clip(settings)

    def run(paths: Sequence[Path]) -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            for start in range(0, len(paths), _BATCH):
                pictures = [preprocess(Image.open(path)) for path in paths[start : start + _BATCH]]
                vectors = model.encode_image(torch.stack(pictures))
                vectors /= vectors.norm(dim=-1, keepdim=True)
        return time.perf_counter() - began

    return run


def own_files(settings: Settings) -> Work:
    """Pictures' paths to seconds."""
    from shared.embedding.bootstrap import load_embedding_service  # noqa: PLC0415

    service = load_embedding_service(_settings(settings), frozenset({"image"}))

    def run(paths: Sequence[Path]) -> float:
        began = time.perf_counter()
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            service.embed_images([service.prepare(path.read_bytes()) for path in chunk])
        return time.perf_counter() - began

    return run


def naive(settings: Settings) -> Work:
    """Pictures' URLs to seconds."""
    import io  # noqa: PLC0415

    import requests  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415
    from qdrant_client import QdrantClient, models  # noqa: PLC0415

    model, preprocess = _open_clip(settings)
    client = QdrantClient(
        url=settings["qdrant_url"],
        check_compatibility=False,
        trust_env=False,
        # As ours does (shared/qdrant/connection.py), so that both loops meet the same server.
        headers={"Accept-Encoding": "identity", "api-key": settings["qdrant_api_key"] or ""},
    )
    vector = models.VectorParams(size=512, distance=models.Distance.COSINE)
    client.create_collection("naive", vectors_config={"image": vector})

    def run(urls: Sequence[str]) -> float:
        began = time.perf_counter()
        for number, url in enumerate(urls):
            content = requests.get(url, timeout=60).content
            with torch.inference_mode():
                pixels = preprocess(Image.open(io.BytesIO(content)))
                embedding = model.encode_image(pixels.unsqueeze(0))[0]
                embedding /= embedding.norm()
            point = models.PointStruct(
                id=number, vector={"image": embedding.tolist()}, payload={"image_url": url}
            )
            client.upsert("naive", [point], wait=True)
        return time.perf_counter() - began

    return run


def own_text(settings: Settings) -> Work:
    """A text to the seconds of its embedding, with as many threads as the API takes."""
    from shared.embedding.bootstrap import load_embedding_service  # noqa: PLC0415

    read = _settings(settings)
    service = load_embedding_service(read, frozenset({"text"}), threads=read.api_encoder_threads)

    def run(text: str) -> float:
        began = time.perf_counter()
        service.embed_text(text, timeout=60)
        return time.perf_counter() - began

    return run


def quantizing(settings: Settings) -> Work:
    """A folder of pictures to the facts of the int8 form that was made with them and stored."""
    from shared.embedding.openvino.quantization import quantize_image_tower  # noqa: PLC0415

    def run(pictures: Path) -> Mapping[str, Any]:
        made = quantize_image_tower(_settings(settings), pictures, lambda _: None)
        facts: Mapping[str, Any] = made.facts["quantized"]
        return facts

    return run


def _open_clip(settings: Settings) -> tuple[Any, Any]:
    """The stack's model as open_clip makes it, and open_clip's own preprocessing."""
    from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: PLC0415

    from shared.embedding.open_clip.loading import load_model  # noqa: PLC0415

    loaded = load_model(settings["clip_model"], settings["clip_pretrained"])
    config = PreprocessCfg(**loaded.preprocess_config)
    return loaded.model, image_transform_v2(config, is_train=False)


def _settings(settings: Settings) -> Any:
    from demo.settings import DemoSettings  # noqa: PLC0415

    return DemoSettings(**settings)
