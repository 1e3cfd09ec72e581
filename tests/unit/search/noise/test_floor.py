"""The scale by which cosines are read, on vectors whose truth is known."""

import numpy as np
import pytest

from shared.search.noise.floor import CHANCE, Matrix, NoiseFloor

SIZE = 64


def units(rows: Matrix) -> Matrix:
    unit: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture
def pictures() -> Matrix:
    """All of them point somewhat the same way, the last axis', as a model's pictures do."""
    rows = np.random.default_rng(1).normal(size=(128, SIZE))
    rows[:, -1] = 8
    return units(rows)


@pytest.fixture
def names(pictures: Matrix) -> Matrix:
    """Each somewhat near its own picture."""
    return units(pictures + np.random.default_rng(2).normal(scale=0.15, size=pictures.shape))


@pytest.fixture
def floor(names: Matrix, pictures: Matrix) -> NoiseFloor:
    return NoiseFloor.measured(names, pictures, 128, "1")


def test_a_name_stands_above_the_floor_with_its_own_picture_and_hardly_with_others(
    floor: NoiseFloor, names: Matrix, pictures: Matrix
) -> None:
    cosines = names @ pictures.T
    floors = np.array([floor.cosines(name, ["text"]).floor for name in names])
    above = cosines > floors[:, np.newaxis]
    assert above.diagonal().all()
    others = above[~np.eye(len(names), dtype=bool)]
    assert others.mean() == pytest.approx(1 - CHANCE, abs=0.01)


def test_a_query_that_is_near_every_picture_alike_stands_above_with_none(
    floor: NoiseFloor, pictures: Matrix
) -> None:
    # So is a word that the model doesn't know: its cosines are high, and say nothing.
    query = np.eye(SIZE, dtype=np.float32)[-1]
    cosines = pictures @ query
    assert cosines.min() > np.quantile(pictures @ pictures.T, CHANCE)
    assert (cosines < floor.cosines(query, ["text"]).floor).all()


def test_a_best_match_is_as_near_as_names_are_to_their_own_pictures(
    floor: NoiseFloor, names: Matrix, pictures: Matrix
) -> None:
    own = [float(name @ picture) for name, picture in zip(names, pictures, strict=True)]
    best = [floor.cosines(name, ["text"]).best for name in names]
    nearer = np.array(own) > best
    assert 0.4 < nearer.mean() < 0.6


def test_a_picture_is_as_near_to_itself_as_can_be(floor: NoiseFloor, pictures: Matrix) -> None:
    assert floor.cosines(pictures[0], ["picture"]).best == pytest.approx(1, abs=0.1)


def test_a_mix_is_held_to_the_lower_scale(floor: NoiseFloor, pictures: Matrix) -> None:
    query = pictures[0]
    alone = [floor.cosines(query, [source]) for source in ("text", "picture")]
    mixed = floor.cosines(query, ["text", "picture"])
    assert mixed == pytest.approx((min(a.floor for a in alone), min(a.best for a in alone)))


@pytest.mark.parametrize("seed", range(20))
def test_a_model_that_knows_nothing_of_the_catalogue_has_a_scale_and_no_trust(
    pictures: Matrix, seed: int
) -> None:
    nothing = units(np.random.default_rng(seed + 3).normal(size=pictures.shape))
    measured = NoiseFloor.measured(nothing, pictures, 128, "1")
    floor, best = measured.cosines(nothing[0], ["text"])
    assert best > floor
    assert 0 < measured.trust < 0.1


def test_a_model_that_knows_the_catalogue_is_trusted(floor: NoiseFloor) -> None:
    assert floor.trust > 0.95


def test_a_model_that_cannot_tell_pictures_apart_is_not_trusted(names: Matrix) -> None:
    same = np.repeat(names[:1], len(names), axis=0)
    assert NoiseFloor.measured(names, same, 128, "1").trust < 0.1
