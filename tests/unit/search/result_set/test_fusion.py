"""One score of two sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.search.result_set.fusion import (
    looks_scores,
    reciprocal_ranks,
    strict_floor,
    weighted_sum,
    words_scores,
)

NONE = float("nan")
sides = st.lists(st.just(NONE) | st.floats(0, 1), min_size=1, max_size=20)


def test_a_product_that_matches_some_of_the_words_is_below_all_that_match_every_one() -> None:
    scores = words_scores(np.array([12.0, 0.1, 11.9, NONE]), np.array([False, True, True, False]))
    assert scores[1] > scores[0]
    assert scores[2] == pytest.approx(0.5 + 0.5 * 11.9 / 12)
    assert np.isnan(scores[3])


def test_words_that_weigh_nothing_still_match() -> None:
    scores = words_scores(np.array([0.0, 0.0]), np.array([True, False]))
    assert scores.tolist() == [1.0, 0.5]
    assert words_scores(np.array([]), np.array([], bool)).tolist() == []


def test_looks_are_measured_from_unrelated_products_to_the_best_of_the_model() -> None:
    scores = looks_scores(np.array([-1, 0.2, 0.25, 0.3, 1, NONE]), floor=0.2, best=0.3)
    assert scores[:5] == pytest.approx([0, 0.1, 0.5, 0.9, 1])
    assert np.isnan(scores[5])


@given(st.floats(-1, 1), st.floats(-1, 1), st.sets(st.integers(-1000, 1000), min_size=2))
def test_no_order_of_looks_is_lost_whatever_the_scale(
    floor: float, best: float, thousandths: set[int]
) -> None:
    cosines = np.array(sorted(thousandths)) / 1000
    assert np.all(np.diff(looks_scores(cosines, floor, best)) > 0)


@given(sides, st.floats(0, 1))
def test_a_weighted_sum_stays_between_0_and_1_and_is_one_side_alone_at_the_ends(
    side: list[float], weight: float
) -> None:
    words, looks = np.array(side), np.array(side[::-1])
    assert np.all(weighted_sum(words, looks, weight) >= 0)
    assert np.all(weighted_sum(words, looks, weight) <= 1)
    assert weighted_sum(words, looks, 1.0).tolist() == np.nan_to_num(words).tolist()
    assert weighted_sum(words, looks, 0.0).tolist() == np.nan_to_num(looks).tolist()


@given(sides)
def test_reciprocal_ranks_look_at_the_order_alone(side: list[float]) -> None:
    words, looks = np.array(side), np.full(len(side), NONE)
    scores = reciprocal_ranks(words, looks)
    assert np.all((scores >= 0) & (scores <= 1))
    for one, score in zip(side, scores, strict=True):
        for other, its in zip(side, scores, strict=True):
            if not np.isnan([one, other]).any() and one > other:
                assert score > its


def test_the_first_of_both_sides_has_1_and_one_that_no_side_found_0() -> None:
    words, looks = np.array([0.9, 0.2, NONE]), np.array([0.4, NONE, NONE])
    assert reciprocal_ranks(words, looks) == pytest.approx([1, 61 / 62 / 2, 0])


def test_strict_is_never_below_the_floor_and_always_admits_the_best() -> None:
    assert strict_floor(0.3, 0.2) == pytest.approx(0.275)
    assert strict_floor(0.1, 0.2) == 0.2
    assert strict_floor(0.3, None) == pytest.approx(0.27)


@pytest.mark.parametrize("best", [-0.05, 0.0, 0.3])
def test_strict_never_leaves_out_the_best(best: float) -> None:
    assert strict_floor(best, None) <= best
