"""What both sides found, as one list in order."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from shared.models.search.hits import Ranked
from shared.search.finding import WORDS_WEIGHT, Alike, Worded, fused
from shared.search.noise.floor import Scale
from shared.search.result_set.results import CODE_BEGINS, CODE_EQUALS, MAX_RESULTS
from shared.words.analyser import Analyser
from shared.words.vocabulary import Vocabulary

ANALYSER = Analyser(["en"])
SCALE = Scale(0.2, 0.3)


def worded(
    found: Mapping[str, float],
    text: str = "red shirt",
    known: str = "red shirt",
    *,
    partly: frozenset[str] = frozenset(),
    tiers: Mapping[str, int] | None = None,
) -> Worded:
    vocabulary = Vocabulary(dict.fromkeys(known.split(), 1))
    ranked = [Ranked(*each) for each in found.items()]
    asked = ANALYSER.of_query(text, vocabulary)
    return Worded(asked, ranked, frozenset(found) - partly, tiers or {})


def alike(found: Mapping[str, float], *, is_cut: bool = False) -> Alike:
    return Alike([Ranked(*each) for each in found.items()], SCALE, is_cut)


def test_products_of_both_sides_stand_in_one_list_by_the_weighted_sum() -> None:
    found = fused(worded({"both": 3.0, "words": 3.0}), alike({"both": 0.25, "looks": 0.25}))
    assert found.ids == ["both", "words", "looks"]
    assert found.scores == pytest.approx(
        [WORDS_WEIGHT + (1 - WORDS_WEIGHT) / 2, WORDS_WEIGHT, (1 - WORDS_WEIGHT) / 2]
    )
    assert found.words == [1.0, 1.0, None]
    assert found.looks == [0.25, None, 0.25]
    assert (found.cut, found.degraded, found.is_whole) == (False, [], True)


def test_products_with_the_code_come_first_then_those_whose_code_begins_so() -> None:
    tiers = {"begins": CODE_BEGINS, "equals": CODE_EQUALS}
    found = fused(worded({"words": 9.0}, tiers=tiers), alike({"looks": 0.3}))
    assert found.ids == ["equals", "begins", "words", "looks"]


def test_words_that_match_partly_come_below_those_that_match_all() -> None:
    found = fused(worded({"part": 9.0, "all": 0.1}, partly=frozenset({"part"})), None)
    assert found.ids == ["all", "part"]
    assert found.words_weight == 1.0


@pytest.mark.parametrize(
    ("known", "weight"),
    [("red shirt", WORDS_WEIGHT), ("red", WORDS_WEIGHT / 2), ("nothing", 0.0)],
)
def test_looks_decide_about_words_that_the_catalogue_does_not_know(
    known: str, weight: float
) -> None:
    found = fused(worded({"p": 1.0}, known=known), alike({"p": 0.25}))
    assert found.words_weight == pytest.approx(weight)


def test_looks_of_a_model_that_does_not_know_the_catalogue_leave_the_order_to_the_words() -> None:
    found = fused(worded({"p": 1.0}), replace(alike({"p": 0.25}), trust=0.1))
    assert found.words_weight == pytest.approx(1 - (1 - WORDS_WEIGHT) * 0.1)


def test_where_no_words_match_looks_alone_are_the_score() -> None:
    found = fused(worded({}), alike({"best": 0.3, "chance": 0.2}))
    assert found.scores == pytest.approx([0.9, 0.1])


def test_without_a_measured_scale_the_nearest_product_is_the_best() -> None:
    found = fused(None, Alike([Ranked("near", 0.5), Ranked("far", 0.1)]))
    assert found.ids == ["near", "far"]
    assert found.scores[0] == pytest.approx(0.9)


def test_equal_scores_stand_in_the_order_of_ids() -> None:
    found = fused(None, alike({"b": 0.25, "c": 0.3, "a": 0.25}))
    assert found.ids == ["c", "a", "b"]


def test_a_set_is_cut_beyond_its_bound_and_says_so() -> None:
    many = {f"p{number:04}": 1.0 for number in range(MAX_RESULTS)}
    assert not fused(worded(many), None).cut
    found = fused(worded(many), alike({"one more": 0.25}))
    assert (len(found.ids), found.cut) == (MAX_RESULTS, True)
    assert fused(None, alike({"p": 0.25}, is_cut=True)).cut


def test_a_side_that_was_not_asked_finds_nothing() -> None:
    assert fused(worded({}), None).ids == []
    assert fused(None, alike({})).ids == []
