"""The metrics against values computed by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrine.relevance.metrics import Ratings, ndcg, ndcg_of_rated, recall

RATINGS = {"a": 3.0, "b": 2.0, "c": 3.0, "d": 0.0, "e": 1.0, "f": 2.0}
"""Found in this order, the gains are those of the textbooks' example: 3, 2, 3, 0, 1, 2."""

DISCOUNTS = [1 / math.log2(rank + 1) for rank in range(1, 11)]

rated = st.dictionaries(
    st.sampled_from("abcdefghijkl"), st.sampled_from([0.0, 1.0, 2.0, 3.0]), max_size=12
)
rankings = st.lists(st.sampled_from("abcdefghijklmnop"), unique=True)


def test_ndcg_is_the_textbooks_on_its_example() -> None:
    # 3 + 2/log2(3) + 3/2 + 0 + 1/log2(6) + 2/log2(7) = 6.8611; the best order gives 7.1410.
    assert ndcg(list("abcdef"), RATINGS, depth=6) == pytest.approx(0.9608, abs=1e-4)


def test_a_product_counts_by_its_rating_and_its_rank() -> None:
    assert ndcg(["x", "right"], {"right": 3.0}) == pytest.approx(1 / math.log2(3))
    both = {"good": 3.0, "fair": 1.0}
    best = 3 * DISCOUNTS[0] + 1 * DISCOUNTS[1]
    assert ndcg(["fair", "good"], both) == pytest.approx((DISCOUNTS[0] + 3 * DISCOUNTS[1]) / best)


def test_what_lies_below_the_depth_counts_nothing() -> None:
    wrong = [f"wrong-{number}" for number in range(10)]
    assert ndcg([*wrong, "right"], {"right": 3.0}) == 0
    # Of twelve right ones, ten are all that can be shown.
    assert ndcg([str(one) for one in range(12)], {str(one): 1.0 for one in range(12)}) == 1


def test_unrated_products_cost_only_where_they_count() -> None:
    found = ["unrated", "right", "unrated too", "wrong"]
    ratings = {"right": 3.0, "wrong": 0.0}
    assert ndcg(found, ratings) == pytest.approx(DISCOUNTS[1])
    assert ndcg_of_rated(found, ratings) == 1


def test_recall_is_the_share_of_the_right_ones() -> None:
    ratings = {"a": 3.0, "b": 1.0, "c": 0.0, "d": 2.0}
    assert recall(["a", "c", "x", "b"], ratings) == pytest.approx(2 / 3)
    assert recall(["x", "a"], ratings, depth=1) == 0
    # Three are right, and two places are all there is.
    assert recall(["a", "b", "d"], ratings, depth=2) == 1


@pytest.mark.parametrize("ratings", [{}, {"a": 0.0}])
def test_without_a_right_product_there_is_no_score(ratings: Ratings) -> None:
    assert ndcg(["a"], ratings) is None
    assert ndcg_of_rated(["a"], ratings) is None
    assert recall(["a"], ratings) is None


@given(rankings, rated)
def test_scores_lie_between_nothing_and_the_best_order(found: list[str], ratings: Ratings) -> None:
    for score in (ndcg(found, ratings), ndcg_of_rated(found, ratings), recall(found, ratings)):
        assert score is None or 0 <= score <= 1 + 1e-9
    best = sorted(ratings, key=lambda product: -ratings[product])
    assert ndcg(best, ratings) in (None, pytest.approx(1))


@given(rankings, rated)
def test_one_rated_product_further_up_is_never_worse(found: list[str], ratings: Ratings) -> None:
    for place in range(1, len(found)):
        upper, lower = found[place - 1 : place + 1]
        if ratings.get(lower, 0) > ratings.get(upper, 0):
            swapped = [*found[: place - 1], lower, upper, *found[place + 1 :]]
            assert (ndcg(swapped, ratings) or 0) >= (ndcg(found, ratings) or 0) - 1e-9
