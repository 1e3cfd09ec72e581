"""Intervals of means over queries."""

import math
import random
from statistics import fmean, stdev

import pytest

from vitrine.relevance.bootstrap import estimate


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [number / 40 for number in range(40)]
    assert estimate(values, 7) == estimate(values, 7)
    assert estimate(values, 7) != estimate(values, 8)


def test_the_interval_is_that_of_the_normal_law_on_many_values() -> None:
    rng = random.Random(2)
    values = [rng.gauss(0.5, 0.2) for _ in range(400)]
    found = estimate(values, 1)
    assert found
    margin = 1.96 * stdev(values) / math.sqrt(len(values))
    assert found.mean == pytest.approx(fmean(values))
    assert found.low == pytest.approx(found.mean - margin, abs=0.1 * margin)
    assert found.high == pytest.approx(found.mean + margin, abs=0.1 * margin)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(3)
    runs = [estimate([rng.random() for _ in range(20)], seed) for seed in range(60)]
    held = sum(bool(run and run.low <= 0.5 <= run.high) for run in runs)
    assert 50 <= held <= 60


def test_equal_values_have_no_spread_and_none_no_estimate() -> None:
    found = estimate([0.3] * 5, 1)
    assert found
    assert (found.low, found.high) == pytest.approx((0.3, 0.3))
    assert estimate([], 1) is None


@pytest.mark.parametrize(
    ("values", "differs"),
    [([0.1, 0.2, 0.15, 0.1], True), ([-0.1, -0.2], True), ([-0.1, 0.2], False), ([0.0], False)],
)
def test_a_difference_counts_only_if_zero_lies_outside(values: list[float], differs: bool) -> None:
    found = estimate(values, 1)
    assert found
    assert found.differs_from_zero is differs
