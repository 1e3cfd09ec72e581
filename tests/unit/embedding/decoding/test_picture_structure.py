"""Small files that would take a decoder minutes are refused at once."""

import io
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from PIL import Image

from shared.embedding.decoding import endings
from shared.embedding.decoding.files import png
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.pictures import decode_picture
from shared.embedding.decoding.structure import MAX_READS, PictureFile
from shared.errors import ItemCode, ItemPermanent
from tests.unit.embedding.drawn import saved, scene
from tests.unit.embedding.odd_files import png_of

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


def bmp_runs(edge: int = 1_000) -> bytes:
    """Run lengths of one pixel each, by which Pillow goes in Python."""
    return bmp_of(edge, b"\x01\x07" * edge**2 + b"\0\1")


def bmp_of(edge: int, runs: bytes, bits: int = 8) -> bytes:
    """A square BMP of run lengths."""
    kind = 1 if bits == 8 else 2
    sizes = len(runs), 2_835, 2_835, 1 << bits, 0
    head = struct.pack("<IiiHHIIiiII", 40, edge, edge, 1, bits, kind, *sizes)
    palette = bytes(4 << bits)
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


def test_the_larger_a_jpeg_is_the_fewer_scans_it_may_have_but_twenty() -> None:
    """A scan goes over all pixels, however little stands in it."""
    pixels = 400 * 400
    assert decode_picture(scans(20, 400), pixels).size == (400, 400)
    assert decode_picture(scans(80, 200), pixels).size == (200, 200)
    for data in (scans(21, 400), scans(81, 200)):
        with pytest.raises(ItemPermanent, match="far more scans"):
            decode_picture(data, pixels)


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
    data = data[:2] + segment + data[2:] + SCAN * 500
    assert decode_picture(data, MAX_PIXELS).size == (160, 120)


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


@pytest.mark.parametrize(
    "head",
    [(8, 2, 0, 1, 0), (8, 2, 1, 0, 0), (3, 2, 0, 0, 0), (16, 3, 0, 0, 0), (8, 5, 0, 0, 0)],
    ids=["filter method", "compression method", "depth", "palette of 16 bits", "colour type"],
)
@pytest.mark.parametrize("edges", [(60_000, 60_000), (100, 100)])
def test_a_png_of_no_lawful_kind_is_not_unpacked(
    head: tuple[int, ...], edges: tuple[int, int]
) -> None:
    rows = zlib.compress(bytes(1_000_000))[:-4]
    header = (b"IHDR", struct.pack(">IIBBBBB", *edges, *head))
    palette = [(b"PLTE", bytes(768))] if head[1] == 3 else []
    data = png_of([header, *palette, (b"IDAT", rows), (b"IEND", b"")])
    with suppress(ItemPermanent):  # Pillow takes an unknown compression for the usual one.
        decode_picture(data, MAX_PIXELS)
    assert png.cut_behind_its_pixels(png.parts(data).data) is None


def test_a_png_whose_header_alone_is_odd_takes_no_time() -> None:
    zeros = zlib.compress(bytes(400_000_000), 1)
    header = (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 1, 0))
    data = png_of([header, (b"IDAT", zeros), (b"IEND", b"")])
    started = time.thread_time()
    with pytest.raises(ItemPermanent):
        decode_picture(data, MAX_PIXELS)
    assert time.thread_time() - started < 0.3


def test_a_cut_jpeg_is_mended_only_where_its_scans_cost_little() -> None:
    assert decode_picture(scans(100, 64)[:-2], MAX_PIXELS).size == (64, 64)
    large = scans(100, 1_500)
    assert decode_picture(large, MAX_PIXELS, draft_edge=100).size == (188, 188)
    started = time.thread_time()
    with pytest.raises(ItemPermanent) as refused:
        decode_picture(large[:-2], MAX_PIXELS, draft_edge=100)
    assert refused.value.code is ItemCode.IMAGE_CORRUPT
    whole = time.thread_time() - started
    started = time.thread_time()
    decode_picture(large, MAX_PIXELS, draft_edge=100)
    assert whole < 3 * (time.thread_time() - started)


@pytest.mark.parametrize(("long", "mended"), [(6_000, True), (7_000, False)])
def test_a_cut_jpeg_that_is_too_narrow_for_coarse_scaling_is_mended_if_it_is_small(
    long: int, mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "MAX_MENDED_PIXELS", 8 * 6_500 * 100)
    data = saved(Image.new("L", (100, long), 9), "JPEG", progressive=True)[:-2]
    if mended:
        assert decode_picture(data, MAX_PIXELS).size == (100, long)
    else:
        with pytest.raises(ItemPermanent):
            decode_picture(data, MAX_PIXELS)


@pytest.mark.parametrize("marker", [b"\xff\xd8", b"\xff\xd0", b"\xff\x01", b"\xff\xfe\0\2"])
def test_markers_without_end_behind_a_cut_scan_cost_a_moment(marker: bytes) -> None:
    data = saved(scene(), "JPEG", restart_marker_rows=1)[:-20] + marker * 4_000_000
    started = time.thread_time()
    with suppress(ItemPermanent):  # libjpeg reads over some of them.
        decode_picture(data, MAX_PIXELS)
    assert time.thread_time() - started < 1


def test_runs_of_a_cut_bmp_are_read_within_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    class Counted(PictureFile):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    monkeypatch.setattr("shared.embedding.decoding.pictures.PictureFile", Counted)
    with pytest.raises(ItemPermanent):
        decode_picture(bmp_runs(400)[:-2_000], MAX_PIXELS)
    assert 100_000 < reads <= MAX_READS + 1


def test_a_large_cut_gif_is_refused_after_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    class Counted(PictureFile):
        def __init__(self, data: bytes, kind: OpenedFormat, reads: Iterator[int]) -> None:
            opened.append(1)
            super().__init__(data, kind, reads)

    monkeypatch.setattr("shared.embedding.decoding.pictures.PictureFile", Counted)
    for edge, tries in ((5_100, 1), (100, 2)):
        opened.clear()
        with pytest.raises(ItemPermanent):
            decode_picture(saved(Image.new("P", (edge, edge), 3), "GIF")[:-20], MAX_PIXELS)
        assert min(len(opened), 2) == tries


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("row", [b"\x01\x05", b"\xff\x05" * 12], ids=["short rows", "full rows"])
def test_a_bmp_of_run_lengths_may_have_a_twelfth_of_the_pixels(bits: int, row: bytes) -> None:
    data = bmp_of(300, (row + b"\0\0") * 300 + b"\0\1", bits)
    assert decode_picture(data, 300 * 300 * 12).size == (300, 300)
    with pytest.raises(ItemPermanent) as refused:
        decode_picture(data, 300 * 300 * 12 - 12)
    assert refused.value.code is ItemCode.IMAGE_TOO_MANY_PIXELS
    assert "89,999 pixels" in refused.value.message


def test_a_png_of_sixteen_bit_colour_may_have_half_of_the_pixels() -> None:
    for kind, weight in ((0, 1), (2, 2), (4, 1), (6, 2)):
        channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
        rows = zlib.compress(bytes(60 * (1 + 2 * 60 * channels)))
        header = (b"IHDR", struct.pack(">IIBBBBB", 60, 60, 16, kind, 0, 0, 0))
        data = png_of([header, (b"IDAT", rows), (b"IEND", b"")])
        assert decode_picture(data, weight * 3_600).size == (60, 60)
        with pytest.raises(ItemPermanent) as refused:
            decode_picture(data, weight * 3_600 - 1)
        assert refused.value.code is ItemCode.IMAGE_TOO_MANY_PIXELS
