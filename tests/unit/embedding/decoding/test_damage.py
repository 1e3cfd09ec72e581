"""A picture is refused only where its pixels can't be had: no other damage spoils it."""

import re
import struct
import time
import zlib

import pytest
from PIL import Image

from shared.embedding.decoding.pictures import decode_picture
from shared.errors import ItemCode, ItemPermanent, VitrineError
from tests.unit.embedding.drawn import difference, noisy, saved, scene
from tests.unit.embedding.odd_files import (
    exif,
    jpeg_segment,
    jpeg_with,
    png_chunk,
    png_chunks,
    png_of,
    png_with,
    webp_chunks,
    webp_of,
    webp_with,
)

MAX_PIXELS = 50_000_000
PNG = list(png_chunks(saved(scene(), "PNG")))
HEADER, PACKED = PNG[0], b"".join(body for name, body in PNG if name == b"IDAT")
ROWS = zlib.decompress(PACKED)
END = (b"IEND", b"")
JPEG = saved(scene(), "JPEG")
WEBP = list(webp_chunks(saved(scene(), "WEBP", quality=95)))
GIF = saved(scene(), "GIF")
PALETTE_END = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)


def decode(data: bytes) -> Image.Image:
    return decode_picture(data, MAX_PIXELS)


def fault(data: bytes) -> ItemPermanent:
    with pytest.raises(ItemPermanent) as caught:
        decode(data)
    return caught.value


ANCILLARY = {
    b"tEXt": b"k\0v",
    b"zTXt": b"k\0\0" + zlib.compress(b"v"),
    b"iTXt": b"k\0\0\0\0\0v",
    b"iCCP": b"n\0\0" + zlib.compress(b"no profile"),
    b"gAMA": struct.pack(">I", 45_455),
    b"cHRM": struct.pack(">8I", 31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000),
    b"sRGB": b"\0",
    b"cICP": b"\1\x0d\0\1",
    b"tIME": b"\x07\xd0\1\1\1\1\1",
    b"pHYs": struct.pack(">IIB", 1, 1, 1),
    b"eXIf": exif(1),
    b"sBIT": b"\x08\x08\x08",
    b"bKGD": b"\0\0\0\0\0\0",
    b"hIST": b"\0\0",
    b"sPLT": b"n\0\x08",
    b"tRNS": b"\0\xfe\0\1\0\xfe",
    b"acTL": b"\0\0\0\2\0\0\0\0",
    b"fcTL": b"\0" * 26,
    b"fdAT": b"\0\0\0\0",
    b"vpAg": b"of an editor",
}


@pytest.mark.parametrize("name", ANCILLARY)
@pytest.mark.parametrize(
    "damage",
    [
        lambda name, body: png_chunk(name, body, bad_crc=True),
        lambda name, _: png_chunk(name, b""),
        lambda name, _: png_chunk(name, b"\xff" * 37),
        lambda name, body: png_chunk(name, body[: len(body) // 2]),
        lambda name, body: png_chunk(name, body) * 2,
    ],
    ids=["wrong checksum", "empty", "garbage", "halved", "twice"],
)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_a_png_chunk_that_no_pixel_needs_spoils_nothing(
    name: bytes, damage: object, before: bytes
) -> None:
    assert callable(damage)
    data = png_with(damage(name, ANCILLARY[name]), before=before)
    assert difference(decode(data), scene()) == 0


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_or_profile_that_unpacks_to_much_is_not_unpacked(name: bytes) -> None:
    bomb = zlib.compress(bytes(200_000_000), 1)
    body = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"n\0\0"}[name] + bomb
    data = png_with(png_chunk(name, body))
    started = time.process_time()
    zlib.decompress(bomb)
    unpacking = time.process_time() - started
    started = time.process_time()
    assert difference(decode(data), scene()) == 0
    assert time.process_time() - started < unpacking


@pytest.mark.parametrize(
    "data",
    [
        png_of([HEADER, (b"IDAT", PACKED), png_chunk(*END, bad_crc=True)]),
        png_of([HEADER, (b"IDAT", PACKED)]),
        png_of([HEADER, (b"IDAT", PACKED)])[:-4],
        png_of([HEADER, (b"IDAT", PACKED), bytes(64)]),
        png_of([HEADER, (b"IDAT", PACKED), END]) + b"junk" * 99,
        png_of([HEADER, png_chunk(b"IDAT", PACKED, bad_crc=True), END]),
        png_of([HEADER, (b"IDAT", PACKED[:-1] + bytes([PACKED[-1] ^ 1])), END]),
        png_of([HEADER, (b"IDAT", PACKED[:-4]), END]),
        png_of([HEADER, (b"IDAT", PACKED + b"more"), END]),
        png_of([HEADER, (b"IDAT", zlib.compress(ROWS + ROWS[:1_443])), END]),
        png_of([HEADER, (b"IDAT", PACKED[:99]), (b"tEXt", b"k\0v"), (b"IDAT", PACKED[99:]), END]),
        png_with(b"junkjunkjunkjunk", before=b"IEND"),
    ],
    ids=[
        "end's checksum", "no end", "no checksum of pixels", "zeros for an end", "junk behind",
        "pixels' checksum", "stream's checksum", "no stream's checksum", "more in the stream",
        "more rows", "pixels parted", "junk before the end",
    ],
)  # fmt: skip
def test_a_png_with_all_of_its_pixels_is_decoded(data: bytes) -> None:
    assert difference(decode(data), scene()) == 0


@pytest.mark.parametrize(
    "data",
    [
        png_of([HEADER, (b"IDAT", zlib.compress(ROWS[:-1])), END]),
        png_of([png_chunk(*HEADER, bad_crc=True), (b"IDAT", PACKED), END]),
        png_of([HEADER, END]),
        png_of([HEADER, (b"IDAT", PACKED[:-40])]),
    ],
    ids=["a byte is missing", "header's checksum", "no pixels", "cut short"],
)
def test_a_png_without_all_of_its_pixels_is_corrupt(data: bytes) -> None:
    assert fault(data).code is ItemCode.IMAGE_CORRUPT


def test_an_interlaced_png_without_its_end_is_decoded() -> None:
    grey = Image.new("L", (5, 5), 77)
    row = lambda wide: b"\0" + b"\x4d" * wide  # noqa: E731
    rows = row(1) * 2 + row(2) + row(1) * 2 + row(3) + row(2) * 3 + row(5) * 2
    header = (b"IHDR", struct.pack(">IIBBBBB", 5, 5, 8, 0, 0, 0, 1))
    packed = zlib.compress(rows)
    whole = png_of([header, (b"IDAT", packed), END])
    assert difference(decode(whole), grey.convert("RGB")) == 0
    cut = png_of([header, (b"IDAT", packed[:-4])])
    assert difference(decode(cut), grey.convert("RGB")) == 0


def test_a_png_transparency_that_browsers_ignore_is_ignored() -> None:
    grey = Image.new("L", (8, 8), 100)
    key = png_chunk(b"tRNS", b"\0\x64")
    assert decode(png_with(key, picture=grey)).getpixel((0, 0)) == (255, 255, 255)
    for data in (
        png_with(png_chunk(b"tRNS", b"\0\x64", bad_crc=True), picture=grey),
        png_with(key, picture=grey, before=b"IEND"),
        png_with(png_chunk(b"tRNS", b"\x64"), picture=grey),
    ):
        assert decode(data).getpixel((0, 0)) == (100, 100, 100)


def animation(**options: object) -> list[tuple[bytes, bytes]]:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    for number, frame in enumerate(frames):
        frame.paste("black", (0, 0, 10 + number, 10))
    return list(
        png_chunks(saved(frames[0], "PNG", save_all=True, append_images=frames[1:], **options))
    )


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        (b"fcTL", lambda body: b"\0\0\0\x09" + body[4:]),
        (b"fcTL", lambda body: body[:4] + struct.pack(">II", 900, 900) + body[12:]),
        (b"fcTL", lambda body: body[:9]),
        (b"acTL", lambda body: body[:3]),
        (b"acTL", lambda _: bytes(8)),
        (b"fdAT", lambda body: body[:9]),
        (b"fdAT", lambda body: body[:2]),
    ],
)
def test_an_animated_png_with_damaged_frames_shows_its_still_picture(
    name: bytes, damaged: object
) -> None:
    assert callable(damaged)
    data = png_of([(one, damaged(body) if one == name else body) for one, body in animation()])
    assert decode(data).getpixel((40, 40)) == (255, 0, 0)


def test_an_animated_png_shows_its_first_frame_and_not_the_picture_for_old_programs() -> None:
    assert decode(png_of(animation(default_image=True))).getpixel((40, 40)) == (0, 255, 0)


APPLICATIONS = {"APP0": 0xE0, "APP1": 0xE1, "APP2": 0xE2, "APP13": 0xED, "APP14": 0xEE, "COM": 0xFE}


@pytest.mark.parametrize("marker", APPLICATIONS.values(), ids=APPLICATIONS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xd8\xff\xd9\xff\xda" * 5,
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"JFIF\0\1",
        b"ICC_PROFILE\0",
        b"ICC_PROFILE\0\2\3rest",
        b"Adobe\0",
        b"http://ns.adobe.com/xap/1.0/\0<x:",
        b"Photoshop 3.0\08BIM\4\4\xff",
        b"MPF\0II*\0" + b"\xff" * 20,
    ],
)
def test_a_jpeg_segment_that_no_pixel_needs_spoils_nothing(marker: int, body: bytes) -> None:
    assert difference(decode(jpeg_with(jpeg_segment(marker, body))), decode(JPEG)) == 0


@pytest.mark.parametrize("length", [0, 1, 2, 5, 13])
def test_a_jpeg_segment_may_lie_about_its_length(length: int) -> None:
    data = jpeg_with(jpeg_segment(0xE5, b"abcdefgh", length))
    assert difference(decode(data), decode(JPEG)) == 0


@pytest.mark.parametrize(
    ("junk", "at"),
    [
        (junk, at)
        for junk in (b"junk", b"\xff" * 99, b"\xff\0\xff\0", b"\xff\xd8", b"\xff\x01", b"\xff\xd0")
        for at in (2, JPEG.index(b"\xff\xda"))
        if at > 2 or junk[0] == 0xFF
    ],
)  # fmt: skip
def test_junk_between_a_jpegs_segments_spoils_nothing(junk: bytes, at: int) -> None:
    assert difference(decode(jpeg_with(junk, at=at)), decode(JPEG)) == 0


def test_what_stands_behind_a_jpegs_end_spoils_nothing() -> None:
    other = saved(Image.new("RGB", (50, 50), "red"), "JPEG")
    for behind in (b"extra" * 999, other, b"\xff\xd9", b"\0" * 4_096):
        assert difference(decode(JPEG + behind), decode(JPEG)) == 0


KINDS = {
    "plain": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "restarts, progressive": {"restart_marker_blocks": 3, "progressive": True},
    "optimised": {"optimize": True, "quality": 95, "subsampling": 0},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("picture", [scene(), scene().convert("L"), noisy(1_000, 900)])
def test_a_jpeg_without_its_end_is_decoded_where_no_pixel_is_missing(
    options: dict[str, object], picture: Image.Image
) -> None:
    data = saved(picture, "JPEG", **options)
    for missing in (1, 2):
        assert difference(decode(data[:-missing]), decode(data)) == 0
    assert difference(decode(data[:-2] + b"trailer of a phone" * 9), decode(data)) == 0


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kind", ["JPEG", "GIF", "PNG", "BMP", "WEBP", "AVIF"])
def test_whatever_is_cut_off_the_picture_is_right_or_refused(
    kind: str, options: dict[str, object]
) -> None:
    data = saved(noisy(64, 48), kind, **(options if kind == "JPEG" else {}))
    whole = decode(data)
    for missing in [*range(1, 40), len(data) // 10, len(data) // 2]:
        try:
            found = decode(data[:-missing])
        except VitrineError as err:
            assert err.code == ItemCode.IMAGE_CORRUPT
        else:
            assert difference(found, whole) == 0


def test_a_jpeg_whose_last_scans_or_intervals_are_missing_is_corrupt() -> None:
    progressive = saved(scene(), "JPEG", progressive=True)
    assert fault(progressive[: progressive.rindex(b"\xff\xda")]).code is ItemCode.IMAGE_CORRUPT
    restarts = saved(scene(), "JPEG", restart_marker_rows=1)
    at = max(restarts.rindex(bytes([0xFF, 0xD0 + number])) for number in range(7))
    for cut in (at, at + 2):
        assert fault(restarts[:cut]).code is ItemCode.IMAGE_CORRUPT


@pytest.mark.parametrize("size", [0, 9, 100, 1_000_000, 0xFFFFFFFF])
def test_a_webp_may_lie_about_its_size(size: int) -> None:
    assert difference(decode(webp_of(WEBP, size)), scene()) < 4


@pytest.mark.parametrize(
    ("name", "flag"), [(b"EXIF", 8), (b"ICCP", 32), (b"XMP ", 4), (b"ABCD", 0)]
)
def test_a_webp_chunk_that_no_pixel_needs_spoils_nothing(name: bytes, flag: int) -> None:
    garbage = (name, b"\xff" * 371)
    for data in (
        webp_with(flag, garbage),
        webp_with(flag, first=[garbage]),
        webp_with(flag, (name, b"")),
        webp_with(flag, garbage, garbage),
        webp_with(flag, garbage)[:-100],
        webp_with(flag, name + struct.pack("<I", 999) + b"abcd"),
        webp_with(flag, name + b"\xff\xff\xff\xff"),
        webp_with(flag),
        webp_of([*WEBP, garbage]),
    ):
        assert difference(decode(data), scene()) < 4


@pytest.mark.parametrize(
    "extra",
    [
        b"\x21\xfe\x03abc\0",
        b"\x21\x77\x03abc\0",
        b"\x21\xff\x03abc\0",
        b"\x21\xff\x0bXMP DataXMP<x/>" + bytes(range(255, -1, -1)) + b"\0",
        b"\x21\x01\x0c" + b"a" * 12 + b"\3abc\0",
    ],
)
def test_a_gif_extension_that_no_pixel_needs_spoils_nothing(extra: bytes) -> None:
    data = GIF[:PALETTE_END] + extra + GIF[PALETTE_END:]
    assert difference(decode(data), decode(GIF)) == 0


def test_a_gif_needs_no_trailer() -> None:
    for data in (GIF[:-1], GIF[:-2], GIF[:-1] + b"junk", GIF + b"junk"):
        assert difference(decode(data), decode(GIF)) == 0


def test_a_broken_exif_of_an_avif_is_harmless() -> None:
    data = saved(
        scene(), "AVIF", exif=b"Exif\0\0" + exif(1)[:4] + exif(1)[4:].replace(b"\x12", b"\x10")
    )
    assert difference(decode(data.replace(b"II*\0", b"\xff\xff\xff\xff")), scene()) < 4


def hostile() -> list[bytes]:
    files = [JPEG, GIF, webp_of(WEBP), png_of(PNG), saved(scene(), "AVIF"), saved(scene(), "BMP")]
    broken = [data[: len(data) * share // 10] for data in files for share in range(1, 10)]
    broken += [data[:at] + b"\xff" * 9 + data[at + 9 :] for data in files for at in range(0, 60, 3)]
    return [*broken, png_of([HEADER, END]), b"", b"<html>", b"8BPS", b"BM" + bytes(40)]


def test_messages_are_words_of_ours() -> None:
    """No library's addresses, paths, constants or classes."""
    forbidden = re.compile(
        r"object at|0x[0-9a-f]{6}|/|\bPIL\b|MAX_|_[A-Z]|[a-z]\.[a-z]|Error|[<>\[\]]"
    )
    messages = set()
    for data in hostile():
        try:
            decode(data)
        except VitrineError as err:
            messages.add(err.message)
    assert len(messages) > 8
    assert [message for message in messages if forbidden.search(message)] == []
