"""The drawings: the same for the same seed, and true to their words."""

import colorsys

import numpy as np
import pytest

from demo.model.combinations import ALL_COMBINATIONS, COLOURS, GARMENTS, PATTERNS
from demo.model.drawing import draw


def pixels(garment: str, colour: str, pattern: str, seed: int, size: int = 64) -> np.ndarray:
    return np.asarray(draw(garment, colour, pattern, seed=seed, size=size), dtype=np.int16)


def test_the_same_seed_draws_the_same_picture() -> None:
    for shown in ALL_COMBINATIONS[::61]:
        assert np.array_equal(pixels(*shown, seed=3), pixels(*shown, seed=3))


def test_another_seed_draws_another_picture() -> None:
    for shown in ALL_COMBINATIONS[::61]:
        assert np.abs(pixels(*shown, seed=3) - pixels(*shown, seed=4)).mean() > 2


@pytest.mark.parametrize("size", [32, 96, 301])
def test_pictures_are_square_rgb_of_the_size_asked_for(size: int) -> None:
    picture = draw("dress", "red", "striped", seed=1, size=size)
    assert picture.mode == "RGB"
    assert picture.size == (size, size)


def test_another_size_shows_the_same_drawing() -> None:
    small = draw("coat", "green", "checked", seed=5, size=64)
    large = draw("coat", "green", "checked", seed=5, size=256).resize((64, 64))
    assert np.abs(np.asarray(small, np.int16) - np.asarray(large, np.int16)).mean() < 4


@pytest.mark.parametrize("garment", GARMENTS)
def test_the_garment_fills_the_frame_and_is_not_cut(garment: str) -> None:
    size = 128
    for seed in range(3):
        picture = pixels(garment, "blue", "plain", seed, size)
        # The background is one colour along each row.
        distance = np.abs(picture - picture[:, :1]).sum(axis=2)
        rows, columns = np.nonzero(distance > 60)
        extents = (rows.max() - rows.min(), columns.max() - columns.min())
        assert max(extents) > 0.7 * size
        assert min(rows.min(), columns.min()) > 0
        assert max(rows.max(), columns.max()) < size - 1


@pytest.mark.parametrize(
    ("colour", "hues"),
    [("red", (345, 15)), ("yellow", (40, 65)), ("green", (90, 165)), ("blue", (195, 240))],
)
def test_plain_garments_have_the_hue_that_they_are_named_for(
    colour: str, hues: tuple[int, int]
) -> None:
    for seed in range(4):
        # The bag's front lies in the lower middle, whatever its turn and place.
        red, green, blue = pixels("bag", colour, "plain", seed)[42:46, 30:34].mean(axis=(0, 1))
        hue = 360 * colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[0]
        low, high = hues
        assert (low <= hue <= high) if low < high else (hue >= low or hue <= high)


def test_patterns_stand_out_from_plain_cloth() -> None:
    contrast = {}
    for pattern in PATTERNS:
        fronts = [pixels("bag", "blue", pattern, seed)[40:52, 24:40] for seed in range(3)]
        contrast[pattern] = np.mean([front.std(axis=(0, 1)) for front in fronts])
    assert min(contrast[name] for name in PATTERNS if name != "plain") > contrast["plain"] + 10


@pytest.mark.parametrize(
    "words", [("cloak", "red", "plain"), ("hat", "mauve", "plain"), ("hat", "red", "tartan")]
)
def test_unknown_words_are_refused(words: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="cannot draw"):
        draw(*words, seed=1)


def test_there_are_enough_kinds_to_tell_apart() -> None:
    assert len(GARMENTS) >= 10
    assert len(COLOURS) >= 10
    assert len(PATTERNS) >= 4
    assert len(set(ALL_COMBINATIONS)) == len(GARMENTS) * len(COLOURS) * len(PATTERNS)
