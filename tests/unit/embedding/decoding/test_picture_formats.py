"""Files are recognised by their first bytes, in a time that no bytes can make long."""

import struct
import time
import zlib

import pytest
from PIL import Image

from shared.embedding.decoding.formats import looks_like_html, opened_format, unsupported_format
from shared.embedding.decoding.pictures import decode_picture
from shared.errors import ItemCode, ItemPermanent
from tests.unit.embedding.drawn import saved, scene
from tests.unit.embedding.odd_files import png_chunks, png_of

REPEATED = (
    b"<!---->", b"<!-- -->", b"<!--", b"-->", b"<?xml?>", b"<?xml ", b"?>", b" ", b"\n\t ", b"<",
    b"<!doctype svg>", b"<!doctype svg ", b"P6 ", b"P6 #\n", b"#\n", b"#", b"9", b"P3\n\n#\n \n",
    b"<!---->\n", b" <!----> ", b"<!--><!-->", b"\xff", b"\xef\xbb\xbf",
)  # fmt: skip
HEADS = (b"", b" ", b"P6 ", b"P6\n#", b"<?xml?>", b"<!--", b"\xef\xbb\xbf", b"\0\0\1\0ftyp")


@pytest.mark.parametrize("part", REPEATED)
@pytest.mark.parametrize("head", HEADS)
def test_no_bytes_take_long_to_recognise(head: bytes, part: bytes) -> None:
    for count in (28, 60, 5_000):
        data = head + part * count + b"x"
        started = time.process_time()
        opened_format(data)
        unsupported_format(data)
        looks_like_html(data)
        assert time.process_time() - started < 2  # the slow ones took for ever


def test_the_comments_that_froze_an_interpreter_are_no_picture() -> None:
    started = time.process_time()
    for count in (28, 60, 1_000):
        with pytest.raises(ItemPermanent) as caught:
            decode_picture(b"<!---->" * count + b"x", 10**6)
        assert caught.value.code is ItemCode.NOT_AN_IMAGE
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><p>",
        b"  \n<HTML>",
        b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC>",
        b"<!-- a --> <!-- b -->\n<html>",
        b"<!-- a --><?xml version='1.0'?><html>",
        b"\xef\xbb\xbf<head>",
        b"<body>",
    ],
)
def test_a_web_page_is_recognised(page: bytes) -> None:
    assert looks_like_html(page)
    assert unsupported_format(page) is None


@pytest.mark.parametrize(
    "drawing",
    [
        b"<svg xmlns='a'>",
        b"<?xml version='1.0'?><!-- made by hand --><!DOCTYPE svg PUBLIC 'a'><svg>",
        b"<?xml version='1.0'?>\n<!DOCTYPE svg [<!ENTITY a 'b'>]>\n<svg>",
        b"<svg:svg>",
        b"\n <!-- a --> <SVG>",
    ],
)
def test_a_drawing_is_recognised(drawing: bytes) -> None:
    assert unsupported_format(drawing) == "SVG"
    assert not looks_like_html(drawing)


@pytest.mark.parametrize(
    "text", [b"<p>", b"<!-- html -->", b"a <html>", b"{}", b"<!-- <html>", b"<?xml <html>", b""]
)
def test_another_text_is_neither(text: bytes) -> None:
    assert not looks_like_html(text)
    assert unsupported_format(text) is None


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"P6\n# by hand\n# twice\n4 4\n255\n", "Netpbm"),
        (b"P7\nWIDTH 4\n", "Netpbm"),
        (b"II\xbc\1", "JPEG XR"),
        (b"BPG\xfb", "BPG"),
        (b"#?RADIANCE\n", "Radiance"),
    ],
)
def test_other_pictures_are_recognised(data: bytes, name: str) -> None:
    assert name in (unsupported_format(data) or "")


def fault(data: bytes) -> ItemPermanent:
    with pytest.raises(ItemPermanent) as caught:
        decode_picture(data, 10**6)
    return caught.value


JPEG = saved(scene(), "JPEG")
FRAME = JPEG.index(b"\xff\xc0")


@pytest.mark.parametrize(
    ("marker", "words"),
    [(0xC3, "lossless"), (0xC7, "lossless"), (0xCB, "lossless"), (0xC5, "hierarchical"),
     (0xCD, "hierarchical"), (0xCA, "arithmetic"), (0xF7, "JPEG-LS")],
)  # fmt: skip
def test_a_jpeg_of_another_coding_is_no_damaged_one(marker: int, words: str) -> None:
    found = fault(JPEG[: FRAME + 1] + bytes([marker]) + JPEG[FRAME + 2 :])
    assert found.code is ItemCode.IMAGE_UNSUPPORTED_FORMAT
    assert words in found.message


@pytest.mark.parametrize("bits", [2, 12, 16])
def test_a_jpeg_of_another_depth_is_no_damaged_one(bits: int) -> None:
    found = fault(JPEG[: FRAME + 4] + bytes([bits]) + JPEG[FRAME + 5 :])
    assert found.code is ItemCode.IMAGE_UNSUPPORTED_FORMAT
    assert f"{bits} bits" in found.message


def test_a_png_as_apple_packs_it_is_no_damaged_one() -> None:
    (head, packed, end) = png_chunks(saved(scene(), "PNG"))
    raw = zlib.compressobj(wbits=-15)
    body = raw.compress(zlib.decompress(packed[1])) + raw.flush()
    found = fault(png_of([(b"CgBI", b"\x50\0\x20\2"), head, (b"IDAT", body), end]))
    assert found.code is ItemCode.IMAGE_UNSUPPORTED_FORMAT
    assert "Apple" in found.message


def bmp(
    bits: int,
    pixels: bytes,
    *,
    header: int = 40,
    compression: int = 0,
    masks: bytes = b"",
    palette: bytes = b"",
    size: tuple[int, int] = (4, 4),
) -> bytes:
    """A BMP of 4 × 4 pixels; a negative height is top-down."""
    if header == 12:
        head = struct.pack("<IHHHH", 12, *size, 1, bits)
    else:
        colours = len(palette) // 4
        fields = (header, *size, 1, bits, compression, len(pixels), 2_835, 2_835, colours, 0)
        head = struct.pack("<IiiHHIIiiII", *fields)
        head = (head + masks).ljust(header, b"\0") if header > 40 else head + masks
    start = 14 + len(head) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + head + palette + pixels


RED, BLUE = (255, 0, 0), (0, 0, 255)
TWO = bytes((0, 0, 255, 0, 255, 0, 0, 0))  # red and blue, as BMP writes them
RED_MASKS = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
RED_565 = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)


@pytest.mark.parametrize(
    "data",
    [
        bmp(1, b"\x30\0\0\0" * 4, palette=TWO),
        bmp(4, b"\x00\x11\0\0" * 4, palette=TWO),
        bmp(8, b"\0\0\1\1" * 4, palette=TWO),
        bmp(8, b"\0\0\1\1" * 4, palette=TWO, size=(4, -4)),
        bmp(1, b"\x30\0\0\0" * 4, header=12, palette=bytes((0, 0, 255, 255, 0, 0))),
        bmp(24, (b"\0\0\xff" * 2 + b"\xff\0\0" * 2) * 4),
        bmp(24, (b"\0\0\xff" * 2 + b"\xff\0\0" * 2) * 4, header=12),
        bmp(24, (b"\0\0\xff" * 2 + b"\xff\0\0" * 2) * 4, header=64),
        bmp(32, (b"\0\0\xff\0" * 2 + b"\xff\0\0\0" * 2) * 4),
        bmp(16, (b"\0\x7c" * 2 + b"\x1f\0" * 2) * 4),
        bmp(16, (b"\0\xf8" * 2 + b"\x1f\0" * 2) * 4, compression=3, masks=RED_565),
        bmp(32, (b"\0\0\xff\0" * 2 + b"\xff\0\0\0" * 2) * 4, compression=3, masks=RED_MASKS),
        *(
            bmp(32, (b"\0\0\xff\xff" * 2 + b"\xff\0\0\xff" * 2) * 4, compression=3, header=header,
                masks=RED_MASKS + struct.pack("<I", 0xFF000000))
            for header in (56, 108, 124)
        ),
        bmp(8, (b"\2\0\2\1\0\0") * 4 + b"\0\1", compression=1, palette=TWO),
        bmp(4, (b"\2\x00\2\x11\0\0") * 4 + b"\0\1", compression=2, palette=TWO),
    ],
)  # fmt: skip
def test_the_forms_of_bmp_in_use_are_opened(data: bytes) -> None:
    picture = decode_picture(data, 10**6)
    assert picture.size == (4, 4)
    for row in (0, 3):
        assert picture.getpixel((0, row)) == RED
        assert picture.getpixel((3, row)) == BLUE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bmp(24, b"\0" * 48, header=16), "OS/2"),
        (bmp(0, JPEG, compression=4), "JPEG"),
        (bmp(0, saved(scene(), "PNG"), compression=5), "PNG"),
        (bmp(2, b"\0" * 16, palette=TWO), "2 bits"),
        (bmp(64, b"\0" * 128), "64 bits"),
        (bmp(32, b"\0" * 64, compression=3, masks=struct.pack("<3I", 7, 56, 448)), "masks"),
    ],
)
def test_a_form_of_bmp_that_isnt_opened_is_no_damaged_one(data: bytes, words: str) -> None:
    found = fault(data)
    assert found.code is ItemCode.IMAGE_UNSUPPORTED_FORMAT
    assert words in found.message


def test_a_damaged_bmp_is_damaged() -> None:
    whole = saved(scene(), "BMP")
    assert fault(whole[: len(whole) // 2]).code is ItemCode.IMAGE_CORRUPT
    assert fault(bmp(37, bytes(99))).code is ItemCode.IMAGE_CORRUPT


@pytest.mark.parametrize("size", [(1, 65_536), (70_000, 2)])
def test_a_picture_longer_than_a_jpeg_can_be_is_refused_from_its_header(
    size: tuple[int, int],
) -> None:
    found = fault(saved(Image.new("1", size), "PNG"))
    assert found.code is ItemCode.IMAGE_TOO_MANY_PIXELS
    assert "65,535" in found.message
    assert decode_picture(saved(Image.new("1", (1, 65_535)), "PNG"), 10**6).size == (1, 65_535)
