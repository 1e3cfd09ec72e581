"""Small files that would take a decoder minutes are refused at once."""

import io
import struct
import time
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from shared.embedding.decoding.pictures import decode_picture
from shared.errors import ItemCode, ItemPermanent
from tests.unit.embedding.drawn import saved, scene

MAX_PIXELS = 50_000_000
SCAN, END = b"\xff\xda", b"\xff\xd9"


def scans(count: int, edge: int = 64) -> bytes:
    """A progressive JPEG whose last scan comes over and over again."""
    data = saved(Image.new("L", (edge, edge), 128), "JPEG", progressive=True)
    before, last = data[: data.rindex(SCAN)], data[data.rindex(SCAN) : -2]
    return before + last * (count - before.count(SCAN)) + END


def many_scans() -> bytes:
    return scans(3_000, edge=7_000)


def jpeg_comments() -> bytes:
    data = saved(scene(), "JPEG")
    return data[:2] + b"\xff\xfe\x00\x02" * 1_000_000 + data[2:]


def png_chunks() -> bytes:
    data = saved(scene(), "PNG")
    chunk = struct.pack(">I", 3) + b"tEXtk\0v" + struct.pack(">I", zlib.crc32(b"tEXtk\0v"))
    return data[:33] + chunk * 400_000 + data[33:]


def gif_blocks() -> bytes:
    data = saved(scene(), "GIF")
    palette_end = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:palette_end] + b"\x21\xfe" + b"\x01x" * 1_000_000 + b"\0" + data[palette_end:]


def bmp_runs() -> bytes:
    """Run lengths of one pixel each, by which Pillow goes in Python."""
    width = height = 1_000
    runs = b"\x01\x07" * (width * height) + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 2_835, 2_835, 256, 0)
    palette = bytes(4 * 256)
    start = 14 + len(head) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(runs), 0, 0, start) + head + palette + runs


@pytest.mark.parametrize("make", [many_scans, jpeg_comments, png_chunks, gif_blocks, bmp_runs])
def test_a_file_of_far_too_many_parts_is_refused_in_a_moment(make: Callable[[], bytes]) -> None:
    data = make()
    started = time.process_time()
    with pytest.raises(ItemPermanent) as refused:
        decode_picture(data, MAX_PIXELS)
    assert time.process_time() - started < 5
    assert refused.value.code is ItemCode.IMAGE_CORRUPT
    assert "far more" in refused.value.message


def test_a_hundred_scans_are_decoded_and_one_more_is_not() -> None:
    assert decode_picture(scans(100), MAX_PIXELS).size == (64, 64)
    with pytest.raises(ItemPermanent, match="far more scans"):
        decode_picture(scans(101), MAX_PIXELS)


@pytest.mark.parametrize("between", [b"\xff", b"junk", b"\xff\x00", b"\xff\xd3", b"\xff\xfe\0\3x"])
def test_scans_are_found_whatever_stands_between_them(between: bytes) -> None:
    data = scans(101)
    at = data.rindex(SCAN)
    with pytest.raises(ItemPermanent, match="far more scans"):
        decode_picture(data[:at] + between + data[at:], MAX_PIXELS)


def test_what_looks_like_scans_in_metadata_or_behind_the_end_is_none() -> None:
    data = saved(scene(), "JPEG")
    profile = b"ICC_PROFILE\0\1\1" + SCAN * 500
    segment = b"\xff\xe2" + struct.pack(">H", len(profile) + 2) + profile
    film = data[:2] + segment + data[2:] + SCAN * 500
    assert decode_picture(film, MAX_PIXELS).size == (160, 120)


def test_a_large_png_in_small_chunks_is_decoded() -> None:
    noise = Image.effect_noise((2_000, 2_000), 90)
    whole = saved(noise, "PNG", compress_level=1)
    packed = zlib.compress(
        b"".join(b"\0" + noise.crop((0, y, 2_000, y + 1)).tobytes() for y in range(2_000))
    )
    file = io.BytesIO()
    file.write(whole[:33])
    for at in range(0, len(packed), 1_024):
        part = b"IDAT" + packed[at : at + 1_024]
        file.write(struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)))
    file.write(struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))
    assert decode_picture(file.getvalue(), MAX_PIXELS).size == (2_000, 2_000)
