"""What shows nothing is told, and avoided where the file holds something that can be shown."""

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from shared.embedding.decoding.flattening import shows_nothing
from shared.embedding.decoding.pictures import decode_picture
from tests.unit.embedding.drawn import difference, noisy, saved, scene

MAX_PIXELS = 50_000_000
WHITE, GREY = (255, 255, 255), (128, 128, 128)


def decode(data: bytes) -> Image.Image:
    return decode_picture(data, MAX_PIXELS)


def cut_out(mode: str, ink: object, ground: object) -> Image.Image:
    picture = Image.new(mode, (120, 120), ground)
    ImageDraw.Draw(picture).rectangle((30, 20, 90, 100), fill=ink)
    return picture


GARMENTS = {
    "RGBA": cut_out("RGBA", (255, 255, 255, 255), (0, 0, 0, 0)),
    "near white": cut_out("RGBA", (246, 245, 243, 255), (9, 9, 9, 0)),
    "half transparent": cut_out("RGBA", (255, 255, 255, 80), (0, 0, 0, 0)),
    "LA": cut_out("LA", (255, 255), (0, 0)),
}


@pytest.mark.parametrize("garment", GARMENTS.values(), ids=GARMENTS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_a_white_garment_on_transparency_is_seen(garment: Image.Image, kind: str) -> None:
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(kind, {})
    picture = garment.convert("RGBA") if kind != "PNG" else garment
    decoded = decode(saved(picture, kind, **options))
    assert not shows_nothing(decoded)
    assert np.allclose(decoded.getpixel((5, 5)), GREY, atol=3)
    assert min(np.array(decoded.getpixel((60, 60)))) > 150


def paletted() -> Image.Image:
    picture = cut_out("P", 1, 0)
    picture.putpalette([0, 0, 0, 255, 255, 255])
    return picture


@pytest.mark.parametrize(
    "data",
    [
        saved(paletted(), "PNG", transparency=0),
        saved(paletted(), "GIF", transparency=0),
        saved(paletted(), "PNG", transparency=b"\0\xff"),
        saved(cut_out("RGB", WHITE, (1, 2, 3)), "PNG", transparency=(1, 2, 3)),
        saved(cut_out("L", 255, 7), "PNG", transparency=7),
        saved(cut_out("1", 1, 0), "PNG", transparency=0),
        saved(
            Image.fromarray(np.asarray(cut_out("L", 255, 7)).astype(np.uint16) * 257),
            "PNG",
            transparency=7 * 257,
        ),
    ],
    ids=["palette", "GIF", "graded palette", "RGB key", "grey key", "1 bit", "16 bits"],
)
def test_a_white_garment_is_seen_however_its_transparency_is_written(data: bytes) -> None:
    decoded = decode(data)
    assert decoded.getpixel((5, 5)) == GREY
    assert decoded.getpixel((60, 60)) == WHITE


@pytest.mark.parametrize(
    "picture",
    [
        cut_out("RGBA", (255, 0, 0, 255), (0, 0, 0, 0)),
        cut_out("RGBA", (0, 0, 0, 255), (255, 255, 255, 0)),
        cut_out("RGBA", (225, 225, 225, 255), (0, 0, 0, 0)),
        Image.new("RGBA", (40, 40), (0, 0, 0, 0)),
        Image.new("RGBA", (40, 40), (255, 255, 255, 255)),
    ],
)
def test_all_other_pictures_keep_their_white_ground(picture: Image.Image) -> None:
    expected = Image.new("RGBA", picture.size, "white")
    expected.alpha_composite(picture)
    assert difference(decode(saved(picture, "PNG")), expected.convert("RGB")) == 0


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (300, 200), (137, 20, 60)),
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGBA", (50, 50), (0, 0, 0, 0)),
        Image.new("L", (50, 50), 200),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG"])
def test_one_colour_all_over_shows_nothing(picture: Image.Image, kind: str) -> None:
    assert shows_nothing(decode(saved(picture.convert("RGB") if kind == "JPEG" else picture, kind)))


def test_the_noise_of_compression_shows_nothing_and_a_small_mark_shows_something() -> None:
    random = np.random.default_rng(0)
    noise = 120 + random.integers(-4, 5, (200, 200, 3))
    assert shows_nothing(decode(saved(Image.fromarray(noise.astype(np.uint8)), "JPEG", quality=70)))
    for at in ((0, 0), (199, 199), (57, 141)):
        picture = Image.new("RGB", (200, 200), "white")
        picture.paste("black", (*at, at[0] + 2, at[1] + 2))
        assert not shows_nothing(decode(saved(picture, "PNG")))
    assert not shows_nothing(scene())
    assert not shows_nothing(noisy(90, 90))


def animation(kind: str, first: list[Image.Image], **options: object) -> bytes:
    frames = [*first, noisy(80, 60)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=40, **options)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG"])
@pytest.mark.parametrize("blank", [1, 5])
def test_the_first_frame_that_shows_something_is_taken(kind: str, blank: int) -> None:
    # Frames that are the same would be written as one.
    nothing = [Image.new("RGB", (80, 60), (250 + number % 6,) * 3) for number in range(blank)]
    decoded = decode(animation(kind, nothing))
    assert difference(decoded, noisy(80, 60)) < 25
    assert not shows_nothing(decoded)


def test_a_animation_that_shows_nothing_costs_no_more_than_its_bounds() -> None:
    frames = [Image.new("P", (1_400, 1_400), number % 2) for number in range(2)]
    for frame in frames:
        frame.putpalette([255, 255, 255, 254, 254, 254])
    two = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=20)
    frame_start = two.rindex(b"\x21\xf9\x04")
    data = two[:-1] + two[frame_start:-1] * 3_000 + b";"
    started = time.process_time()
    assert shows_nothing(decode(data))
    assert time.process_time() - started < 4


def test_a_damaged_frame_behind_a_blank_one_spoils_nothing() -> None:
    data = animation("GIF", [Image.new("RGB", (80, 60), "white")])
    assert decode(data[: len(data) // 2]).size == (80, 60)
