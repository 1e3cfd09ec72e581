"""Pictures made to fill memory: the real worker ends each with a code and stays small."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shared.embedding.decoding.costs import decoding_bytes
from stack.run import Stack
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture

pytestmark = pytest.mark.slow

EDGES = (8_000, 6_250)
"""50 million pixels, the most that is accepted by default."""

ALLOWED_BYTES = decoding_bytes(EDGES[0] * EDGES[1]) + 50_000_000
"""Decoding's own bound, and the bytes of fetching and embedding beside it: up to 13 MB more than
the bound was seen while other programs kept both cores busy."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    check = struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + check + end


def many_frames() -> bytes:
    frames = [Image.new("P", (64, 64), number % 250) for number in range(10_000)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


HOSTILE: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "a header of 50,000 × 50,000": (lambda: png_header(50_000, 50_000), "image_too_many_pixels"),
    "grey that becomes colour": (lambda: saved(Image.new("L", EDGES), "PNG"), "indexed"),
    "a palette with transparency": (
        lambda: saved(Image.new("P", EDGES), "PNG", transparency=b"\0\x80"),
        "indexed",
    ),
    "16 bits": (lambda: saved(Image.new("I;16", EDGES, 700), "PNG"), "indexed"),
    "lying on its side": (lambda: saved(Image.new("RGB", EDGES), "PNG", exif=turned()), "indexed"),
    "a progressive JPEG": (
        lambda: saved(Image.new("RGB", EDGES), "JPEG", progressive=True, subsampling=0),
        "indexed",
    ),
    "a WebP of 25 million pixels": (
        lambda: saved(Image.new("RGB", (6_250, 4_000)), "WEBP", lossless=True, method=0),
        "indexed",
    ),
    "a WebP of 50 million pixels": (
        lambda: saved(Image.new("RGB", EDGES), "WEBP", lossless=True, method=0),
        "image_too_many_pixels",
    ),
    "10,000 frames": (many_frames, "indexed"),
    "1 × 20,000": (lambda: saved(Image.new("RGB", (1, 20_000)), "PNG"), "indexed"),
}

AT_ONCE = 6
"""Each takes seconds, one after the other; all at once they took over a gigabyte."""


def test_no_picture_makes_the_worker_large_and_each_ends_with_its_code(
    stack: Stack, shop: Shop, pictures: PictureServer
) -> None:
    warm = {"id": "warm", "name": "warm", "image_url": pictures.add("/warm", picture())}
    assert shop.index(warm)["outcome"] == "indexed"
    memory = _Memory(stack)
    products = [
        {"id": name, "name": name, "image_url": pictures.add(f"/{number}", make())}
        for number, (name, (make, _)) in enumerate(HOSTILE.items())
    ]
    job = shop.call("POST", "/index-products", 202, json={"products": products})
    shop.finished(job["job_id"])
    items = shop.call("GET", f"/jobs/{job['job_id']}/items")["items"]
    # Most of them are blank besides, which is no fault.
    assert {item["product_id"]: _end(item) for item in items} == {
        name: code for name, (_, code) in HOSTILE.items()
    }
    assert memory.grown_to() < ALLOWED_BYTES


def test_the_largest_pictures_at_once_take_turns(
    stack: Stack, shop: Shop, pictures: PictureServer
) -> None:
    warm = {"id": "warm", "name": "warm", "image_url": pictures.add("/warm", picture())}
    assert shop.index(warm)["outcome"] == "indexed"
    memory = _Memory(stack)
    data = saved(Image.new("RGBA", EDGES), "PNG")
    products = [
        # Bytes behind a PNG's end mean nothing: each is another picture, of the same size.
        {"id": f"{n}", "name": "n", "image_url": pictures.add(f"/{n}", data + bytes([n]))}
        for n in range(AT_ONCE)
    ]
    job = shop.call("POST", "/index-products", 202, json={"products": products})
    assert shop.finished(job["job_id"])["counts"]["indexed"] == AT_ONCE
    assert memory.grown_to() < ALLOWED_BYTES


def _end(item: Mapping[str, Any]) -> str:
    end: str = item["code"] if item["outcome"] == "failed" else item["outcome"]
    return end


class _Memory:
    """How much the worker has grown at its largest, since this was made, in bytes."""

    def __init__(self, stack: Stack) -> None:
        (info,) = (info for info in stack.processes() if info["name"] == "worker")
        self._process = Path("/proc") / str(info["pid"])
        # Forgets the largest size so far.
        (self._process / "clear_refs").write_text("5")
        self._idle = self._status("VmRSS")

    def grown_to(self) -> int:
        return self._status("VmHWM") - self._idle

    def _status(self, name: str) -> int:
        for line in (self._process / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")
