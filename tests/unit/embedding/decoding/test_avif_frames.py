"""An AVIF costs what its streams hold, whatever the sizes are that its boxes claim."""

import struct
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from PIL import Image

from shared.embedding.decoding.files import av1, avif
from shared.embedding.decoding.pictures import decode_picture
from shared.errors import ItemCode, ItemPermanent
from tests.unit.embedding.drawn import difference, saved, scene
from tests.unit.embedding.odd_files import avif_claiming, avif_grid, avif_stream

MAX_PIXELS = 1_000_000
EIGHT_BIT_420, EIGHT_BIT_444 = 1.5, 3.0


def see_through(width: int, height: int) -> Image.Image:
    picture = scene(width, height)
    picture.putalpha(scene(width, height).convert("L"))
    return picture


def moving(width: int, height: int, frames: int = 4) -> bytes:
    others = [scene(width, height).rotate(90 * turn) for turn in range(1, frames)]
    return saved(scene(width, height), "AVIF", speed=10, save_all=True, append_images=others)


def cost(data: bytes, max_pixels: int = 50_000_000) -> int:
    costs: list[int] = []
    decode_picture(data, max_pixels, admit=costs.append)
    return costs[0]


@pytest.mark.parametrize(
    ("make", "options", "per_pixel"),
    [
        (scene, {}, EIGHT_BIT_420),
        (scene, {"subsampling": "4:4:4"}, EIGHT_BIT_444),
        (see_through, {}, 2 * EIGHT_BIT_420),
        (scene, {"autotiling": False, "tile_rows": 1}, EIGHT_BIT_420),
    ],
    ids=["usual", "full colour", "transparent", "tiled stream"],
)
def test_frames_are_found_with_their_sizes(
    make: Callable[[int, int], Image.Image], options: Mapping[str, Any], per_pixel: float
) -> None:
    parts = avif.parts(saved(make(640, 480), "AVIF", **options))
    assert list(parts.frame_bytes) == [640 * 480 * per_pixel]
    assert parts.frame_pixels == 640 * 480


def test_each_frame_of_an_animation_is_found() -> None:
    parts = avif.parts(moving(320, 200))
    assert len(parts.frame_bytes) == 4
    assert min(parts.frame_bytes) >= 320 * 200 * EIGHT_BIT_420
    assert parts.frame_pixels == 320 * 200


@pytest.mark.parametrize("make", [scene, see_through])
def test_a_small_claim_is_admitted_with_what_the_stream_takes(
    make: Callable[[int, int], Image.Image],
) -> None:
    data = avif_claiming(saved(make(800, 600), "AVIF"), 64, 48)
    streams = 2 if make is see_through else 1
    assert cost(data) > streams * 800 * 600 * EIGHT_BIT_420 + 64 * 48 * 8
    assert cost(avif_claiming(saved(make(64, 48), "AVIF"), 800, 600)) > 800 * 600 * 14


@pytest.mark.parametrize(
    "make",
    [
        lambda: saved(scene(2_000, 1_500), "AVIF", speed=10),
        lambda: saved(see_through(2_000, 1_500), "AVIF", speed=10),
        lambda: moving(2_000, 1_500, 2),
    ],
    ids=["still", "transparent", "moving"],
)
def test_a_stream_larger_than_pictures_may_be_is_refused_whatever_its_boxes_claim(
    make: Callable[[], bytes],
) -> None:
    large = make()
    for data in (large, avif_claiming(large, 64, 48)):
        with pytest.raises(ItemPermanent) as refused:
            decode_picture(data, MAX_PIXELS, admit=lambda _: pytest.fail("admitted"))
        assert refused.value.code is ItemCode.IMAGE_TOO_MANY_PIXELS


def test_the_tiles_of_a_picture_are_counted_with_their_own_sizes() -> None:
    whole = scene(512, 256)
    halves = [saved(whole.crop((left, 0, left + 256, 256)), "AVIF") for left in (0, 256)]
    data = avif_grid(halves, 2, (256, 256), (512, 256))
    assert list(avif.parts(data).frame_bytes) == [512 * 256 * EIGHT_BIT_420]
    assert difference(decode_picture(data, MAX_PIXELS), whole) < 3
    # Tiles at one place are decoded each on its own.
    repeated = avif_grid(halves[:1] * 4, 2, (256, 256), (512, 512))
    assert list(avif.parts(repeated).frame_bytes) == [512 * 512 * EIGHT_BIT_420]
    large = saved(scene(800, 600), "AVIF", speed=10)
    lying = avif_grid([large] * 4, 2, (64, 64), (128, 128))
    assert cost(lying) > 4 * 800 * 600 * EIGHT_BIT_420
    with pytest.raises(ItemPermanent) as refused:
        decode_picture(lying, 800 * 599)
    assert refused.value.code is ItemCode.IMAGE_TOO_MANY_PIXELS


def in_one_item(data: bytes, times: int, before: bytes = b"") -> bytes:
    """A still picture whose stream comes several times in its one item, behind some bytes."""
    stream = avif_stream(data)
    offset, at = data.index(stream), data.index(b"\0\1", data.index(b"iloc") + 14)
    longer = bytearray(data[:offset] + before + stream * times)
    struct.pack_into(">I", longer, at + 6, len(longer) - offset)
    mdat = longer.index(b"mdat") - 4
    struct.pack_into(">I", longer, mdat, len(longer) - mdat)
    return bytes(longer)


def test_frames_that_nobody_sees_are_counted() -> None:
    data = saved(scene(800, 600), "AVIF")
    (one,) = avif.parts(data).frame_bytes
    (many,) = avif.parts(in_one_item(data, 400)).frame_bytes
    assert many == 400 * one
    with pytest.raises(ItemPermanent) as refused:
        decode_picture(in_one_item(data, 400), 50_000_000)
    assert refused.value.code is ItemCode.IMAGE_TOO_MANY_PIXELS


def sequence_header(*, reduced: bool, bits: int, width: int, height: int) -> bytes:
    """An AV1 sequence's header of the first profile, with the fields that its frames need."""
    fields = [(0, 3), (1, 1), (int(reduced), 1)]
    fields += [(8, 5)] if reduced else [(0, 1), (0, 1), (0, 5), (0, 12), (8, 5), (0, 1)]
    fields += [(bits - 1, 4), (bits - 1, 4), (width - 1, bits), (height - 1, bits)]
    if not reduced:
        fields += [(0, 1)]
    fields += [(0, 3)]
    if not reduced:
        fields += [(0, 4), (0, 1), (0, 1), (0, 1), (0, 3)]
    fields += [(0, 3), (0, 16)]
    return packed(fields)


def packed(fields: list[tuple[int, int]]) -> bytes:
    text = "".join(f"{value:0{size}b}" for value, size in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8)


def pixels(*samples: bytes) -> list[int]:
    return [frames.pixels for frames in av1.decoded(samples, lambda: None)]


def unit(kind: int, body: bytes) -> bytes:
    return bytes([kind << 3 | 2, len(body)]) + body


KEY_FRAME = [(0, 1), (0, 2), (1, 1), (0, 1)]


def test_a_frame_may_give_its_own_size_and_counts_as_the_largest_then() -> None:
    header = unit(1, sequence_header(reduced=False, bits=12, width=64, height=48))
    plain = unit(6, packed([*KEY_FRAME, (0, 1), (0, 32)]))
    own = unit(3, packed([*KEY_FRAME, (1, 1), (0, 32)]))
    assert pixels(header + plain) == [64 * 48]
    assert pixels(header + own) == [4_096 * 4_096]
    # A later one may take its size from any before it.
    assert pixels(header + own, plain) == [4_096 * 4_096] * 2
    reduced = unit(1, sequence_header(reduced=True, bits=16, width=64, height=48))
    assert pixels(reduced + unit(6, b"\xff" * 9)) == [64 * 48]


@pytest.mark.parametrize(
    "data",
    [
        saved(scene(), "AVIF")[:40],
        saved(scene(), "AVIF").replace(b"av01", b"hvc1"),
        saved(scene(), "AVIF").replace(b"iloc", b"free"),
        moving(64, 48).replace(b"meta", b"free").replace(b"stsz", b"stz2"),
    ],
    ids=["cut", "no AV1", "no places", "no sizes"],
)
def test_a_file_whose_frames_are_not_found_is_not_decoded(data: bytes) -> None:
    with pytest.raises(ItemPermanent) as refused:
        decode_picture(data, MAX_PIXELS, admit=lambda _: pytest.fail("admitted"))
    assert refused.value.code is ItemCode.IMAGE_CORRUPT


def test_places_that_overlap_are_not_read_time_and_again() -> None:
    data = saved(scene(), "AVIF")
    box = data.index(b"iloc") - 4
    length = int.from_bytes(data[box : box + 4])
    many = b"".join(struct.pack(">II", at, len(data)) for at in range(60_000))
    head = struct.pack(">I4sI2sHHHH", 20 + len(many), b"iloc", 0, b"\x44\0", 1, 1, 0, 60_000)
    lying = data[:box] + head[: 8 + 14] + many + data[box + length :]
    struct.pack_into(">I", lying := bytearray(lying), box, 8 + 14 + len(many))
    meta = lying.index(b"meta") - 4
    grown = int.from_bytes(lying[meta : meta + 4]) + 22 + len(many) - length
    struct.pack_into(">I", lying, meta, grown)
    with pytest.raises(ItemPermanent, match="far more parts"):
        decode_picture(bytes(lying), MAX_PIXELS)


def test_empty_parts_of_streams_are_counted_over_all_items() -> None:
    data = saved(scene(), "AVIF")
    started = time.thread_time()
    with pytest.raises(ItemPermanent, match="far more parts"):
        decode_picture(in_one_item(data, 1, before=b"\x12\0" * 5_000_000), MAX_PIXELS)
    assert time.thread_time() - started < 1


def test_exif_is_hidden_and_nothing_else_changes() -> None:
    about = Image.Exif()
    about[0x010F] = "maker"
    plain = saved(scene(), "AVIF", exif=about.tobytes())
    hidden = avif.parts(plain).data
    assert len(hidden) == len(plain)
    assert [at for at in range(len(plain)) if hidden[at] != plain[at]] == [
        plain.index(b"Exif") + place for place in range(4)
    ]
    assert decode_picture(plain, MAX_PIXELS).size == (160, 120)
