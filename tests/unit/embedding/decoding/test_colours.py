"""Colours are what a browser shows by the picture's profile; a useless profile changes nothing.

The expected values are what Chromium 156 showed of the same files.
"""

import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from shared.embedding.decoding import colours, flattening
from shared.embedding.decoding.colours import conversion
from shared.embedding.decoding.files import profiles
from shared.embedding.decoding.frames import shown_frame
from shared.embedding.decoding.pictures import decode_picture
from tests.unit.embedding.drawn import difference, noisy, saved, scene
from tests.unit.embedding.odd_files import png_chunk, png_with

COLOUR = (200, 100, 50)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = profiles.of_code_points(12, 13) or b""
LINEAR = profiles.of_gamma(100_000, None) or b""
P3_SHOWN, LINEAR_SHOWN = (215, 93, 31), (229, 168, 122)
SRGB_PRIMARIES = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
P3_PRIMARIES = (31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000)


def plain(mode: str = "RGB", colour: object = COLOUR) -> Image.Image:
    return Image.new(mode, (32, 32), colour)


def shown(data: bytes) -> tuple[int, int, int]:
    picture = decode_picture(data, 10**6)
    found = picture.getpixel((4, 4))
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def close(one: tuple[int, ...], other: tuple[int, ...], by: int = 2) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= by


def icc(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"n\0\0" + zlib.compress(profile))


def gamma(value: int) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", value))


def primaries(values: tuple[int, ...]) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *values))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize(("profile", "expected"), [(P3, P3_SHOWN), (LINEAR, LINEAR_SHOWN)])
def test_a_profile_is_converted_to_srgb_in_every_format(
    kind: str, profile: bytes, expected: tuple[int, int, int]
) -> None:
    options = {} if kind == "PNG" else {"quality": 100}
    assert close(shown(saved(plain(), kind, icc_profile=profile, **options)), expected)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (gamma(100_000), LINEAR_SHOWN),
        (gamma(100_000) + primaries(SRGB_PRIMARIES), LINEAR_SHOWN),
        (gamma(55_556), (210, 119, 65)),
        (gamma(45_455), COLOUR),
        (gamma(45_455) + primaries(P3_PRIMARIES), (216, 93, 24)),
        (primaries(P3_PRIMARIES), COLOUR),
        (gamma(0), COLOUR),
        (gamma(0xFFFFFFFF), COLOUR),
        (gamma(100_000) + primaries((0,) * 8), COLOUR),
        (gamma(100_000) + png_chunk(b"sRGB", b"\0"), COLOUR),
        (png_chunk(b"sRGB", b"\0") + icc(P3), P3_SHOWN),
        (icc(b"no profile" * 50) + gamma(100_000), LINEAR_SHOWN),
        (png_chunk(b"cICP", b"\x0c\x0d\0\1"), P3_SHOWN),
        (png_chunk(b"cICP", b"\x0c\x0d\0\0"), COLOUR),
        (png_chunk(b"cICP", b"\x09\x0d\0\1"), (241, 76, 29)),
        (png_chunk(b"cICP", b"\x0c\x01\0\1"), (212, 83, 9)),
        (png_chunk(b"cICP", b"\x0c\x08\0\1"), (240, 165, 114)),
        (png_chunk(b"cICP", b"\1\x0d\0\1") + icc(P3), COLOUR),
    ],
)
def test_a_pngs_own_words_for_its_colours_are_read_as_browsers_do(
    chunks: bytes, expected: tuple[int, int, int]
) -> None:
    assert close(shown(png_with(chunks, picture=plain())), expected)


def test_every_mode_is_converted() -> None:
    grey = (168, 168, 168)
    assert close(shown(png_with(icc(LINEAR), picture=plain("L", 100))), grey)
    assert close(shown(saved(plain("L", 100), "JPEG", quality=100, icc_profile=LINEAR)), grey)
    sixteen = Image.fromarray(np.full((8, 8), 25_700, dtype=np.uint16))
    assert close(shown(png_with(icc(LINEAR), picture=sixteen)), grey)
    assert close(shown(png_with(icc(P3), picture=plain().quantize(4))), P3_SHOWN)
    half = plain("RGBA", (*COLOUR, 128))
    assert close(shown(png_with(icc(LINEAR), picture=half)), (242, 211, 188))


def test_a_profile_for_other_colours_than_the_pictures_is_ignored() -> None:
    inks = plain("CMYK", (10, 100, 150, 20))
    without = shown(saved(inks, "JPEG", quality=100))
    assert shown(saved(inks, "JPEG", quality=100, icc_profile=P3)) == without


def cmyk_profile() -> bytes:
    """A printer's profile of the coarsest kind: a table of two steps, to Lab."""
    corners = []
    for inks in np.ndindex(2, 2, 2, 2):
        light = 100 * np.prod([1 - 0.6 * ink for ink in inks])
        corners.append((round(light * 2.55), 128, 128))
    table = bytes(value for corner in corners for value in corner)
    identity = struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 65_536)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0\4\3\2\0" + identity + ramp * 4 + table + ramp * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63_190, 65_536, 54_061)
    start = 128 + 4 + 24
    tags = struct.pack(">I4sII", 2, b"A2B0", start, len(lut))
    tags += struct.pack(">4sII", b"wtpt", start + len(lut), len(white))
    size = start + len(lut) + len(white)
    head = struct.pack(
        ">I4x4s4s4s4s12x4s28x12s48x",
        size, b"\2\x40\0\0", b"prtr", b"CMYK", b"Lab ", b"acsp", white[8:],
    )  # fmt: skip
    return head + tags + lut + white


def test_inks_are_converted_by_their_own_profile() -> None:
    inks = plain("CMYK", (255, 0, 0, 0))
    red, green, blue = shown(saved(inks, "JPEG", quality=100, icc_profile=cmyk_profile()))
    assert max(red, green, blue) - min(red, green, blue) <= 3  # This printer's cyan is grey.
    assert 70 < red < 120


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile" * 40,
        P3[:200],
        P3[:128] + b"\xff" * (len(P3) - 128),
        P3[:16] + b"7CLR" + P3[20:],
        P3[:12] + b"link" + P3[16:],
        P3[:132] + bytes(len(P3) - 132),
    ],
)
def test_a_broken_or_absurd_profile_is_ignored(profile: bytes) -> None:
    assert close(shown(png_with(icc(profile), picture=plain())), COLOUR, 3)


def test_a_profile_that_turns_all_dark_is_ignored() -> None:
    dark = profiles._profile(SRGB_PRIMARIES, (40.0,))
    assert dark is not None
    assert shown(png_with(icc(dark), picture=plain())) == COLOUR


def test_srgb_profiles_cost_no_conversion() -> None:
    assert conversion(SRGB) is None
    data = saved(scene(), "PNG", icc_profile=SRGB)
    assert difference(decode_picture(data, 10**6), scene()) == 0


def test_conversions_are_kept_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    plainly = colours._built
    monkeypatch.setattr(colours, "_built", lambda profile: built.append(1) or plainly(profile))
    known = colours._Conversions()
    for _ in range(3):
        known.of(P3)
    assert len(built) == 1
    for value in range(50_000, 50_040):
        known.of(profiles.of_gamma(value, None) or b"")
    assert len(known._known) == 32
    known.of(P3)
    assert len(built) == 42


def test_threads_that_share_a_conversion_get_the_same_colours() -> None:
    data = saved(noisy(300, 200), "PNG", icc_profile=P3)
    expected = decode_picture(data, 10**6).tobytes()
    start = threading.Barrier(4)

    def decoded(_: int) -> bool:
        start.wait(60)
        return all(decode_picture(data, 10**6).tobytes() == expected for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(decoded, range(4)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1"])
def test_a_large_picture_with_a_profile_is_halved_and_looks_the_same(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.merge("RGB", [scene(1_201, 1_033).convert("L")] * 3)
    picture.paste(Image.new("RGB", (301, 200), (200, 30, 40)), (100, 99))
    if mode == "RGBA":
        picture.putalpha(scene(1_201, 1_033).convert("L"))
    picture = picture.convert(mode, dither=Image.Dither.NONE)
    data = saved(picture, "PNG", icc_profile=P3)
    whole = decode_picture(data, 10**7)
    monkeypatch.setattr(flattening, "_CONVERTED_PIXELS", 1_000_000)
    halved = decode_picture(data, 10**7)
    assert (whole.size, halved.size) == ((1_201, 1_033), (601, 517))
    assert difference(whole.resize((300, 258)), halved.resize((300, 258))) < 2
    assert decode_picture(saved(picture, "PNG"), 10**7).size == whole.size


def test_a_large_picture_of_sixteen_bit_grey_is_halved_with_what_of_it_is_transparent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = np.full((300, 400), 30_000, dtype=np.uint16)
    samples[:, :200] = 7
    data = saved(Image.fromarray(samples), "PNG", icc_profile=LINEAR, transparency=7)
    whole = decode_picture(data, 10**7)
    monkeypatch.setattr(flattening, "_CONVERTED_PIXELS", 100_000)
    halved = decode_picture(data, 10**7)
    assert (whole.size, halved.size) == ((400, 300), (200, 150))
    for column in (0, 99, 100, 199):
        assert halved.getpixel((column, 75)) == whole.getpixel((2 * column, 150))


def test_colours_of_a_cut_picture_are_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def counted(*of: Any) -> Image.Image:
        shown.append("picture")
        return shown_frame(*of)

    monkeypatch.setattr("shared.embedding.decoding.pictures.shown_frame", counted)
    data = saved(scene(), "JPEG", icc_profile=P3)
    # Once for the file as it came, and once for the mended one.
    assert difference(decode_picture(data[:-2], 10**7), decode_picture(data, 10**7)) == 0
    assert len(shown) == 3
