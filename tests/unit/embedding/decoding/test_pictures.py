"""Every odd picture decodes to what a browser would show on a white page."""

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.Image import Transpose

from shared.embedding.decoding.pictures import decode_picture
from tests.unit.embedding.drawn import difference, noisy, saved, scene

MAX_PIXELS = 50_000_000
WHITE, RED, BLACK = (255, 255, 255), (255, 0, 0), (0, 0, 0)

# What each EXIF orientation makes of an upright picture, as a camera stores it.
STORED_AS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def decode(data: bytes) -> Image.Image:
    return decode_picture(data, MAX_PIXELS)


def pixel(data: bytes, at: tuple[int, int] = (0, 0)) -> object:
    picture = decode(data)
    assert picture.mode == "RGB"
    return picture.getpixel(at)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP"])
def test_every_opened_format_decodes_to_the_same_picture(kind: str) -> None:
    picture = scene()
    tolerance = 8 if kind == "GIF" else 4
    assert difference(decode(saved(picture, kind)), picture) < tolerance


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "AVIF"])
def test_exif_orientation_gives_the_upright_picture(orientation: int, kind: str) -> None:
    upright = scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(STORED_AS[orientation])
    assert difference(decode(saved(stored, kind, exif=exif)), upright) < 4


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_drafted_photo_is_turned_upright_too(orientation: int) -> None:
    upright = noisy(1000, 1400)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(STORED_AS[orientation])
    decoded = decode(saved(stored, "JPEG", quality=95, exif=exif))
    assert decoded.size == (500, 700)
    assert difference(decoded, upright.resize((500, 700), Image.Resampling.BOX)) < 4


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_a_meaningless_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(decode(saved(scene(), "JPEG", exif=exif)), scene()) < 4


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_broken_exif_block_is_harmless() -> None:
    data = saved(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    assert difference(decode(data), scene()) < 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_broken_icc_profile_is_harmless(kind: str) -> None:
    data = saved(scene(), kind, icc_profile=b"this is no profile" * 20)
    assert difference(decode(data), scene()) < 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_colour_hidden_under_alpha_zero_becomes_white(kind: str) -> None:
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (32, 0, 64, 64))
    options = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100}}.get(kind, {})
    decoded = decode(saved(picture, kind, **options))
    assert np.allclose(decoded.getpixel((8, 8)), WHITE, atol=3)
    assert np.allclose(decoded.getpixel((56, 8)), BLACK, atol=3)


def test_half_transparent_colour_is_mixed_with_white() -> None:
    assert pixel(saved(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")) == (255, 127, 127)


def test_grey_with_alpha_is_flattened_on_white() -> None:
    assert pixel(saved(Image.new("LA", (4, 4), (0, 0)), "PNG")) == WHITE
    assert pixel(saved(Image.new("LA", (4, 4), (40, 255)), "PNG")) == (40, 40, 40)


def paletted() -> Image.Image:
    """Index 0 red, index 1 black; the left half is 0."""
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([*RED, *BLACK])
    picture.paste(1, (4, 0, 8, 8))
    return picture


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palettes_transparent_colour_becomes_white(kind: str) -> None:
    data = saved(paletted(), kind, transparency=0)
    assert pixel(data, (0, 0)) == WHITE
    assert pixel(data, (7, 7)) == BLACK


def test_a_palette_with_graded_transparency_is_flattened_on_white() -> None:
    data = saved(paletted(), "PNG", transparency=b"\x80\xff")
    assert pixel(data, (0, 0)) == (255, 127, 127)
    assert pixel(data, (7, 7)) == BLACK


def test_a_palette_without_transparency_keeps_its_colours() -> None:
    assert pixel(saved(paletted(), "PNG")) == RED


@pytest.mark.parametrize(
    ("mode", "colour", "key"),
    [("L", 40, 40), ("RGB", (1, 2, 3), (1, 2, 3)), ("1", 0, 0)],
)
def test_a_colour_key_becomes_white(mode: str, colour: object, key: object) -> None:
    assert pixel(saved(Image.new(mode, (4, 4), colour), "PNG", transparency=key)) == WHITE


def png_16_bit_rgb_with_key() -> bytes:
    """16-bit truecolour, one pixel of 0x1234, which is also the transparent colour."""
    import struct  # noqa: PLC0415  # used by this one picture only
    import zlib  # noqa: PLC0415

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    sample = b"\x12\x34" * 3
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
        + chunk(b"tRNS", sample)
        + chunk(b"IDAT", zlib.compress(b"\0" + sample))
        + chunk(b"IEND", b"")
    )


def test_a_sixteen_bit_colour_key_becomes_white() -> None:
    assert pixel(png_16_bit_rgb_with_key()) == WHITE


@pytest.mark.parametrize(("sample", "grey"), [(0, 0), (257, 1), (32_768, 128), (65_535, 255)])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(sample: int, grey: int) -> None:
    picture = Image.fromarray(np.full((8, 8), sample, dtype=np.uint16))
    assert pixel(saved(picture, "PNG")) == (grey, grey, grey)


def test_sixteen_bit_grey_keeps_its_gradient() -> None:
    samples = np.tile(np.linspace(0, 65_535, 256).astype(np.uint16), (4, 1))
    decoded = np.asarray(decode(saved(Image.fromarray(samples), "PNG")))[0, :, 0]
    assert np.abs(decoded.astype(int) - np.arange(256)).max() <= 1


def test_a_sixteen_bit_grey_key_becomes_white() -> None:
    picture = Image.fromarray(np.full((4, 4), 1000, dtype=np.uint16))
    assert pixel(saved(picture, "PNG", transparency=1000)) == WHITE


def test_cmyk_looks_like_the_rgb_it_was_made_from() -> None:
    assert difference(decode(saved(scene().convert("CMYK"), "JPEG", quality=95)), scene()) < 4


def test_one_bit_is_black_and_white() -> None:
    picture = Image.new("1", (16, 8), 0)
    picture.paste(1, (8, 0, 16, 8))
    for kind in ("PNG", "BMP"):
        data = saved(picture, kind)
        assert pixel(data, (0, 0)) == BLACK
        assert pixel(data, (15, 7)) == WHITE


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG"])
def test_an_animation_shows_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert np.allclose(decode(data).getpixel((16, 16)), RED, atol=6)


def test_a_gif_of_ten_thousand_frames_costs_as_much_as_its_first() -> None:
    two = saved(
        Image.new("P", (32, 32), 0),
        "GIF",
        save_all=True,
        append_images=[Image.new("P", (32, 32), 1)],
        loop=0,
        duration=20,
    )
    frame = two[two.rindex(b"\x21\xf9\x04") : -1]
    data = two[:-1] + frame * 9_998 + b";"
    started = time.thread_time()
    assert decode(data).size == (32, 32)
    assert time.thread_time() - started < 0.1


def test_the_rest_of_the_canvas_around_a_small_first_frame_is_white() -> None:
    data = bytearray(saved(paletted(), "GIF"))
    data[6:10] = b"\x10\x00\x10\x00"  # The canvas grows to 16 × 16, the frame stays 8 × 8.
    assert pixel(bytes(data), (15, 15)) == WHITE
    assert pixel(bytes(data), (0, 0)) == RED


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (3, 2)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_extreme_shapes_decode(size: tuple[int, int], kind: str) -> None:
    assert decode(saved(Image.new("RGB", size, "red"), kind)).size == size


def test_draft_never_goes_below_its_edge_and_can_be_switched_off() -> None:
    data = saved(noisy(1800, 950), "JPEG")
    assert decode_picture(data, MAX_PIXELS).size == (900, 475)
    assert decode_picture(data, MAX_PIXELS, draft_edge=None).size == (1800, 950)
    assert decode_picture(data, MAX_PIXELS, draft_edge=100).size == (225, 119)


def test_without_draft_a_photo_is_what_pillow_makes_of_it() -> None:
    data = saved(noisy(700, 500), "JPEG")
    with Image.open(io.BytesIO(data)) as plain:
        expected = ImageOps.exif_transpose(plain).convert("RGB")
    assert difference(decode_picture(data, MAX_PIXELS, draft_edge=None), expected) == 0


@pytest.mark.parametrize(
    "change",
    [lambda picture: picture, lambda picture: picture.convert("L"), lambda p: p.quantize(64)],
)
def test_the_picture_outlives_its_file(change: Callable[[Image.Image], Image.Image]) -> None:
    decoded = decode(saved(change(scene()), "PNG"))
    assert decoded.resize((8, 8)).mode == "RGB"
