"""Whatever a shop sends in a picture's place ends in a code and a sentence, never in a crash."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.embedding.decoding.pictures import decode_picture
from shared.errors import ItemCode, ItemPermanent, ItemTransient
from tests.unit.embedding.drawn import saved, scene
from tests.unit.embedding.odd_files import (
    avif_claiming,
    png_chunks,
    png_of,
    webp_chunks,
    webp_of,
)

MAX_PIXELS = 50_000_000


def fault(data: bytes, max_pixels: int = MAX_PIXELS) -> ItemPermanent:
    with pytest.raises(ItemPermanent) as caught:
        decode_picture(data, max_pixels)
    assert caught.value.message.endswith(".")
    return caught.value


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("size", "max_pixels"),
    [((50_000, 50_000), MAX_PIXELS), ((10_000, 10_000), MAX_PIXELS), ((101, 100), 10_000)],
)
def test_too_many_pixels_are_refused_from_the_header(
    size: tuple[int, int], max_pixels: int
) -> None:
    idat = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    found = fault(png_header(*size) + idat, max_pixels)
    assert found.code is ItemCode.IMAGE_TOO_MANY_PIXELS
    assert f"{max_pixels:,}" in found.message


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "AVIF", "BMP"])
def test_the_pixel_bound_holds_for_every_format(kind: str) -> None:
    assert fault(saved(scene(), kind), 160 * 120 - 1).code is ItemCode.IMAGE_TOO_MANY_PIXELS
    assert decode_picture(saved(scene(), kind), 160 * 120).size == (160, 120)


def test_a_webp_canvas_of_many_gigabytes_is_refused() -> None:
    small = saved(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WEBP", exif=b"Exif\0\0II*\0")
    at = small.index(b"VP8X") + 12
    huge = small[:at] + b"\xff\x3f\x00\xff\x3f\x00" + small[at + 6 :]
    assert fault(huge).code in (ItemCode.IMAGE_TOO_MANY_PIXELS, ItemCode.IMAGE_CORRUPT)


LARGE = scene(400, 300)
SMALL_WEBP, LARGE_WEBP = (list(webp_chunks(saved(one, "WEBP"))) for one in (scene(), LARGE))


def webp_frame(width: int, height: int, pixels: Sequence[tuple[bytes, bytes]]) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = bytes(6) + size + bytes(4) + webp_of(pixels)[12:]
    return b"ANMF" + struct.pack("<I", len(body)) + body


def webp_canvas(flags: int, *chunks: tuple[bytes, bytes] | bytes) -> bytes:
    size = (159).to_bytes(3, "little") + (119).to_bytes(3, "little")
    return webp_of([(b"VP8X", bytes([flags, 0, 0, 0]) + size), *chunks])


def jpeg_with_frame(*places: bytes) -> bytes:
    """A JPEG with the frame of a larger one before these markers."""
    data, large = saved(scene(), "JPEG"), saved(LARGE, "JPEG")
    frame = large[large.index(b"\xff\xc0") :][:19]
    for place in places:
        at = data.index(place)
        data = data[:at] + frame + data[at:]
    return data


PNG, LARGE_PNG = (list(png_chunks(saved(one, "PNG"))) for one in (scene(), LARGE))
ANIMATION = (b"ANIM", bytes(6))


@pytest.mark.parametrize(
    "data",
    {
        "WebP, canvas and picture": webp_canvas(0, *LARGE_WEBP),
        "WebP, canvas and frame": webp_canvas(2, ANIMATION, webp_frame(400, 300, LARGE_WEBP)),
        "WebP, frame and picture": webp_canvas(2, ANIMATION, webp_frame(160, 120, LARGE_WEBP)),
        "WebP, two pictures": webp_of([*SMALL_WEBP, *LARGE_WEBP]),
        "WebP, two pictures on a canvas": webp_canvas(0, *SMALL_WEBP, *LARGE_WEBP),
        "JPEG, another frame first": jpeg_with_frame(b"\xff\xc0"),
        "JPEG, another frame last": jpeg_with_frame(b"\xff\xda"),
        "PNG, two headers": png_of([PNG[0], LARGE_PNG[0], *PNG[1:]]),
        "PNG, another's pixels": png_of([PNG[0], *LARGE_PNG[1:]]),
        "AVIF, box and stream": avif_claiming(saved(LARGE, "AVIF"), 160, 120),
    }.values(),
)
def test_a_file_of_two_sizes_is_the_one_that_was_checked_or_is_refused(data: bytes) -> None:
    try:
        assert decode_picture(data, 160 * 120).size == (160, 120)
    except ItemPermanent as refused:
        assert refused.code in {ItemCode.IMAGE_CORRUPT, ItemCode.IMAGE_TOO_MANY_PIXELS}


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP"])
def test_a_truncated_picture_is_corrupt(kind: str, kept: float) -> None:
    data = saved(scene(400, 300), kind)
    found = fault(data[: max(int(len(data) * kept), 60)])
    assert found.code is ItemCode.IMAGE_CORRUPT
    assert "Export the picture again" in found.message


def test_a_progressive_jpeg_cut_short_is_corrupt() -> None:
    data = saved(scene(400, 300), "JPEG", progressive=True)
    assert fault(data[: len(data) // 2]).code is ItemCode.IMAGE_CORRUPT


@pytest.mark.parametrize(
    "magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 "]
)
def test_a_mere_beginning_is_corrupt(magic: bytes) -> None:
    assert fault(magic).code is ItemCode.IMAGE_CORRUPT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0" * 5000,
        b"BM is how this text begins, and it is no bitmap",
        b"Not found",
        b"RIFF\x24\0\0\0WAVEfmt ",
        bytes(range(7, 256)),
    ],
)
def test_what_is_no_picture_is_called_so(data: bytes) -> None:
    assert fault(data).code is ItemCode.NOT_AN_IMAGE


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"\xef\xbb\xbf\n <!doctype HTML>",
        b"<?xml version='1.0'?><!DOCTYPE html><html/>",
        b"<html><svg></svg></html>",
    ],
)
def test_a_web_page_is_named_as_the_cause(page: bytes) -> None:
    found = fault(page)
    assert found.code is ItemCode.NOT_AN_IMAGE
    assert "web page" in found.message


def drawn(kind: str) -> bytes:
    return saved(scene(), kind)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?>\n<!-- a shirt -->\n<svg/>', "SVG"),
        (b"\xef\xbb\xbf<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN'><svg/>", "SVG"),
        (b"8BPS\0\1" + b"\0" * 20, "Photoshop"),
        (drawn("EPS"), "EPS"),
        (drawn("PDF"), "PDF"),
        (drawn("TIFF"), "TIFF"),
        (drawn("ICO"), "ICO"),
        (drawn("JPEG2000"), "JPEG 2000"),
        (drawn("PPM"), "PPM"),
        (drawn("DDS"), "DDS"),
        (drawn("ICNS"), "ICNS"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 40, "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + b"\0" * 40, "video"),
        (b"\xff\x0a" + b"\0" * 20, "JPEG XL"),
    ],
)
def test_a_recognised_format_is_named_with_what_to_send(data: bytes, name: str) -> None:
    found = fault(data)
    assert found.code is ItemCode.IMAGE_UNSUPPORTED_FORMAT
    assert name in found.message
    assert "JPEG" in found.message


@cache
def seeds() -> list[bytes]:
    """Small real files of every opened format and of the odd modes."""
    small = scene(40, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("P", (12, 12), index) for index in range(3)]
    return [
        saved(small, "JPEG", exif=exif),
        saved(small, "JPEG", progressive=True),
        saved(small.convert("CMYK"), "JPEG"),
        saved(small, "PNG", exif=exif),
        saved(small.convert("P"), "PNG", transparency=b"\0\x80"),
        saved(small.convert("LA"), "PNG"),
        saved(Image.new("I;16", (9, 9), 777), "PNG", transparency=777),
        saved(small, "WEBP"),
        saved(small.convert("RGBA"), "WEBP", lossless=True, exif=exif),
        saved(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=1),
        saved(small, "AVIF", exif=exif),
        saved(small.convert("RGBA"), "AVIF"),
        saved(small, "BMP"),
        saved(small.convert("P"), "BMP"),
    ]


def decode_or_fault(data: bytes) -> None:
    """Decode in full and in draft; only faults of ours may come out."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns of what it mends; production leaves that out.
        for draft_edge in (8, None):
            try:
                picture = decode_picture(data, 200_000, draft_edge)
            except (ItemPermanent, ItemTransient) as found:
                assert found.message
            else:
                assert picture.mode == "RGB"
                assert picture.width * picture.height <= 200_000


@given(
    seed=st.integers(0, 13),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    cut=st.floats(0, 1),
    tail=st.binary(max_size=8),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_mutation_of_a_real_file_lets_another_error_escape(
    seed: int, flips: list[tuple[float, int]], cut: float, tail: bytes
) -> None:
    data = bytearray(seeds()[seed])
    for where, value in flips:
        # Half of the changes hit the first hundred bytes: that is where headers are.
        span = min(len(data), 100) if value % 2 else len(data)
        data[int(where * (span - 1))] = value
    if cut < 0.5:
        del data[int(len(data) * 2 * cut) :]
    decode_or_fault(bytes(data) + tail)


@given(data=st.binary(max_size=200), start=st.sampled_from([0, 4, 8, 12, 16, 26]))
@settings(max_examples=200, deadline=None)
def test_no_made_up_bytes_let_another_error_escape(data: bytes, start: int) -> None:
    for seed in seeds():
        decode_or_fault(seed[:start] + data)


def test_broken_exif_fills_no_log() -> None:
    tags = b"".join(struct.pack("<HHLL", 1_000 + n, 1, 60_000, 8) for n in range(5_000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + tags + bytes(4)
    code = """
import sys
from shared.embedding.decoding.pictures import decode_picture
print(decode_picture(sys.stdin.buffer.read(), 50_000_000).size)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=saved(scene(), "PNG", exif=exif),
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"(160, 120)\n", b"")


def test_pillow_is_not_told_to_accept_truncated_files() -> None:
    from PIL import ImageFile  # noqa: PLC0415  # its module-level switch is what is asked for

    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert io.BytesIO(saved(scene(), "PNG")).read(4) == b"\x89PNG"
