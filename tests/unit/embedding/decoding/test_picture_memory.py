"""Decoding takes no more memory than it was admitted with, whatever the file claims or lacks."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from PIL import Image

from tests.unit.embedding.drawn import noisy, saved, scene
from tests.unit.embedding.odd_files import avif_claiming, colours_apart

MAX_PIXELS = 50_000_000
SLACK = 20_000_000
"""What is no picture: copies of the file, a band, what libraries keep."""

# The kernel's peak of a process of its own, because no tracer sees what a decoder takes in C. Each
# is a fork of one that has imported and decoded before, which takes a second.
_MEASURED = """
import json, os, sys
from pathlib import Path
from PIL import Image
from shared.embedding.decoding.pictures import decode_picture
from shared.errors import VitrineError

def resident(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1_024

def measure(file):
    data, admitted, fault, size = Path(file).read_bytes(), [], None, None
    before = resident("VmRSS")
    try:
        size = decode_picture(data, int(sys.argv[2]), admit=admitted.append).size
    except VitrineError as err:
        # While the fault is held the pixels must be gone.
        fault, held = err, resident("VmRSS") - before
    print(json.dumps({
        "taken": resident("VmHWM") - before, "admitted": sum(admitted), "size": size,
        "code": fault and fault.code, "held": held if fault else 0,
    }), flush=True)

for warm in Path(sys.argv[1]).iterdir():
    decode_picture(warm.read_bytes(), 10**6)
for line in sys.stdin:
    if not (child := os.fork()):
        measure(line.strip())
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes], Any]]:
    folder = tmp_path_factory.mktemp("measured")
    warm, file = folder / "warm", folder / "file"
    warm.mkdir()
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP"):
        (warm / kind).write_bytes(saved(scene(), kind))
    command = [sys.executable, "-c", _MEASURED, str(warm), str(MAX_PIXELS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None

        def measure(data: bytes) -> Any:
            file.write_bytes(data)
            print(file, file=parent.stdin, flush=True)
            return json.loads(parent.stdout.readline())

        yield measure
        parent.stdin.close()


@cache
def gif_frame(width: int, height: int, value: int, *, disposal: int = 0) -> bytes:
    one = saved(Image.new("P", (width, height), value), "GIF")
    control = b"\x21\xf9\x04" + bytes((disposal << 2, 0, 0, 0, 0))
    frame = one[one.index(b"\x2c\0\0\0\0") : -1]
    return control + frame


def gif(*frames: bytes, screen: tuple[int, int] = (100, 100)) -> bytes:
    palette = bytes((255, 255, 255, 0, 0, 0))
    return b"GIF89a" + struct.pack("<2H", *screen) + b"\x80\0\0" + palette + b"".join(frames) + b";"


def empty_extension() -> bytes:
    """Behind an empty block Pillow reads on for the end, so the next bytes are no frame."""
    return b"\x21\xf9\0" + b"\x01\x2c" + b"\0"


LARGE = 13_000


@pytest.mark.parametrize("between", [b"", b"junk", b"\x21\xfe\x03abc\0", empty_extension()])
@pytest.mark.parametrize("disposal", [0, 2, 3])
def test_a_later_frame_that_is_larger_is_not_looked_at(
    measured: Callable[[bytes], dict[str, Any]], between: bytes, disposal: int
) -> None:
    blank = gif_frame(100, 100, 0, disposal=disposal)
    found = measured(gif(blank, between, gif_frame(LARGE, LARGE, 1, disposal=disposal)))
    assert found["size"] == [100, 100]
    assert found["taken"] < found["admitted"] + SLACK


def test_a_first_frame_that_is_too_large_takes_nothing(
    measured: Callable[[bytes], dict[str, Any]],
) -> None:
    found = measured(gif(gif_frame(LARGE, LARGE, 0, disposal=2)))
    assert found["code"] == "image_too_many_pixels"
    assert found["taken"] < SLACK


def with_alpha(picture: Image.Image) -> Image.Image:
    picture.putalpha(picture.convert("L"))
    return picture


LARGE_AVIF: dict[str, Callable[[], bytes]] = {
    "usual": lambda: saved(scene(4_000, 3_000), "AVIF", speed=10),
    "full colour": lambda: saved(scene(4_000, 3_000), "AVIF", speed=10, subsampling="4:4:4"),
    "transparent": lambda: saved(with_alpha(scene(4_000, 3_000)), "AVIF", speed=10),
    "small claim": lambda: avif_claiming(saved(scene(4_000, 3_000), "AVIF", speed=10), 64, 48),
    "large claim": lambda: avif_claiming(saved(scene(64, 48), "AVIF"), 4_000, 3_000),
}


@pytest.mark.parametrize("make", LARGE_AVIF.values(), ids=LARGE_AVIF)
def test_a_large_avif_takes_what_it_was_admitted_with(
    measured: Callable[[bytes], dict[str, Any]], make: Callable[[], bytes]
) -> None:
    found = measured(make())
    assert found["size"]
    assert found["taken"] < found["admitted"] + SLACK


@cache
def large() -> Image.Image:
    return scene(3_000, 4_000)


LARGE_FILES: dict[str, Callable[[], bytes]] = {
    "tall JPEG": lambda: saved(noisy(800, 300).resize((800, 16_000)), "JPEG")[:-2],
    "progressive JPEG": lambda: saved(large(), "JPEG", progressive=True)[:-2],
    "JPEG with colours apart": lambda: colours_apart(large()),
    "cut JPEG with colours apart": lambda: colours_apart(large())[:-2],
    "PNG": lambda: saved(large(), "PNG", compress_level=1)[:-9_999],
    "PNG without its last checksums": lambda: saved(large(), "PNG")[:-20],
    "GIF": lambda: saved(large().convert("P"), "GIF")[:-99],
    "BMP": lambda: saved(large(), "BMP")[:-99],
}


@pytest.mark.parametrize("make", LARGE_FILES.values(), ids=LARGE_FILES)
def test_a_large_file_that_is_cut_takes_what_it_was_admitted_with(
    measured: Callable[[bytes], dict[str, Any]], make: Callable[[], bytes]
) -> None:
    data = make()
    found = measured(data)
    assert found["admitted"]
    assert found["taken"] < found["admitted"] + SLACK + 3 * len(data)
    assert found["held"] < 2 * SLACK  # one try's pixels are more
