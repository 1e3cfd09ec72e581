"""What the benchmark's table says of a row."""

import itertools

import pytest

from benchmarks.questions import questions
from benchmarks.results import Row, percentiles


def test_the_value_is_the_median_of_the_rounds() -> None:
    assert Row(name="a", values=[1, 90, 3], unit="×").value == 3


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(0.89, True, False), (0.9, True, True), (0.91, True, True), (0.89, False, True)],
)
def test_a_target_is_met_on_its_own_side(value: float, at_least: bool, met: bool) -> None:
    row = Row(name="a", values=[value], unit="×", target=0.9, at_least=at_least)
    assert row.met is met


def test_a_row_is_judged_by_what_it_shows() -> None:
    assert Row(name="a", values=[0.8961], unit="×", target=0.9, at_least=True).met
    assert not Row(name="a", values=[0.8949], unit="×", target=0.9, at_least=True).met


def test_nothing_embedded_is_met_by_nothing_alone() -> None:
    assert Row(name="a", values=[0], unit="", target=0).met
    assert not Row(name="a", values=[1], unit="", target=0).met


def test_a_row_without_a_target_is_neither_met_nor_missed() -> None:
    assert Row(name="a", values=[1], unit="×").met is None


def test_percentiles_are_of_the_nearest_rank_in_milliseconds() -> None:
    hundred = [number / 1000 for number in range(100, 0, -1)]
    assert percentiles(hundred) == pytest.approx({"p50": 50, "p95": 95, "p99": 99, "max": 100})
    assert percentiles([0.007])["p99"] == pytest.approx(7)


def test_no_question_comes_twice_nor_from_another_seed() -> None:
    asked = [list(itertools.islice(questions(seed), 3000)) for seed in (1, 2)]
    assert len({*asked[0], *asked[1]}) == 6000
