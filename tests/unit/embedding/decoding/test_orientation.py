"""Pictures are turned as browsers turn them: by EXIF, where their format has it turned by that."""

import struct

import pytest
from PIL import Image
from PIL.Image import Transpose

from shared.embedding.decoding.pictures import decode_picture
from tests.unit.embedding.drawn import difference, saved, scene
from tests.unit.embedding.odd_files import (
    exif,
    jpeg_segment,
    jpeg_with,
    png_chunk,
    png_with,
    webp_with,
)

UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
XMP = (
    b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF>"
    b"<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation='6'/>"
    b"</rdf:RDF></x:xmpmeta>"
)


def shown(data: bytes) -> Image.Image:
    return decode_picture(data, 10**6)


def jpeg(*segments: bytes) -> bytes:
    return jpeg_with(b"".join(jpeg_segment(0xE1, segment) for segment in segments), quality=95)


def is_turned(data: bytes, orientation: int) -> bool:
    method = UPRIGHT.get(orientation)
    expected = scene() if method is None else scene().transpose(method)
    found = shown(data)
    return found.size == expected.size and difference(found, expected) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("big", [False, True])
def test_exif_turns_a_jpeg_and_a_png(orientation: int, big: bool) -> None:
    block = exif(orientation, big=big)
    assert is_turned(jpeg(b"Exif\0\0" + block), orientation)
    assert is_turned(png_with(png_chunk(b"eXIf", block)), orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_no_webp(orientation: int) -> None:
    for block in (exif(orientation), b"Exif\0\0" + exif(orientation)):
        assert is_turned(webp_with(8, (b"EXIF", block)), 1)


def test_xmp_turns_nothing() -> None:
    assert is_turned(jpeg(XMP), 1)
    assert is_turned(jpeg(XMP, b"Exif\0\0" + exif(3)), 3)
    assert is_turned(png_with(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP[29:])), 1)
    assert is_turned(webp_with(4, (b"XMP ", XMP[29:])), 1)
    assert is_turned(saved(scene(), "AVIF", xmp=XMP[29:]), 1)


def test_an_avif_is_turned_by_its_boxes_and_not_by_its_exif() -> None:
    for orientation in range(1, 9):
        assert is_turned(saved(scene(), "AVIF", exif=b"Exif\0\0" + exif(orientation)), orientation)
    # A second tag has the writer keep the block; it moves the orientation to a box of its own.
    block = Image.Exif()
    block[0x010F] = "maker"
    block[0x0112] = 1
    data = saved(scene(), "AVIF", exif=block)
    assert is_turned(data, 1)


@pytest.mark.parametrize(
    ("block", "orientation"),
    [
        (exif(0), 1),
        (exif(9), 1),
        (exif(65_535), 1),
        (exif(6, kind=1), 1),
        (exif(6, kind=4), 1),
        (exif(6, kind=8), 1),
        (exif(6, kind=9), 1),
        (exif(6).replace(struct.pack("<HHI", 0x112, 3, 1), struct.pack("<HHI", 0x112, 3, 2)), 1),
        (exif(6).replace(struct.pack("<HHI", 0x112, 3, 1), struct.pack("<HHI", 0x112, 3, 0)), 1),
        (exif(6, offset=60_000), 1),
        (exif(6, offset=0xFFFFFFFF), 1),
        (exif(6).replace(b"II*\0", b"II+\0"), 1),
        (exif(6)[:-4], 6),
        (exif(6)[:-8], 1),
        (exif(6).replace(b"\x08\0\0\0\1\0", b"\x08\0\0\0\xff\xff"), 6),
        (b"", 1),
        (b"II", 1),
    ],
)
def test_a_broken_exif_turns_nothing_and_a_sound_tag_of_it_does(
    block: bytes, orientation: int
) -> None:
    assert is_turned(jpeg(b"Exif\0\0" + block), orientation)
    assert is_turned(png_with(png_chunk(b"eXIf", block)), orientation)


def test_the_first_exif_counts() -> None:
    one, other = b"Exif\0\0" + exif(6), b"Exif\0\0" + exif(3)
    assert is_turned(jpeg(one, other), 6)
    assert is_turned(jpeg(b"Exif\0\xff" + exif(6)), 6)
    assert is_turned(png_with(png_chunk(b"eXIf", exif(6)) + png_chunk(b"eXIf", exif(3))), 6)


def test_what_browsers_dont_take_for_exif_turns_no_png() -> None:
    assert is_turned(png_with(png_chunk(b"eXIf", exif(6), bad_crc=True)), 1)
    assert is_turned(png_with(png_chunk(b"eXIf", exif(6)), before=b"IEND"), 1)
    assert is_turned(png_with(png_chunk(b"eXIf", b"Exif\0\0" + exif(6))), 1)
    raw = b"Raw profile type exif\0\nexif\n      40\n" + (b"Exif\0\0" + exif(6)).hex().encode()
    assert is_turned(png_with(png_chunk(b"tEXt", raw)), 1)
