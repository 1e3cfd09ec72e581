"""Words and looks together: which products are found, in which order, and what the answer says."""

from typing import Any

import numpy as np
import pytest

from shared.errors import EncoderBusy, QdrantUnavailable
from shared.models.search.answers import Answered, PriceFacet, PriceRange, ValueCount, ValueFacet
from shared.models.search.requests import SearchRequest
from tests.integration.search.conftest import TENANT, Searching, direction

FAR = direction(b"something else")


def ask(searching: Searching, text: str | None = None, **asked: Any) -> Answered:
    request = SearchRequest.model_validate({"text_query": text, **asked})
    return searching.service.search(TENANT, request).answered


def ids(answer: Answered) -> list[str]:
    return [hit.product_id for hit in answer.results]


def test_a_product_that_the_words_match_is_never_cut_off(searching: Searching) -> None:
    searching.put("Red Shirt", 30.0, "worded", vector=FAR)
    searching.put("Summer tee", 30.0, "alike")
    searching.put("Blue socks", 30.0, "neither", vector=FAR)
    answer = ask(searching, "red shirt", min_score=0.9)
    assert sorted(ids(answer)) == ["alike", "worded"]
    matched = {hit.product_id: (hit.matched, hit.similarity_score) for hit in answer.results}
    assert matched["worded"] == (["words"], None)
    assert matched["alike"] == (["looks"], pytest.approx(1.0, abs=1e-5))
    assert ids(ask(searching, "red shirt", match="words")) == ["worded"]
    assert ids(ask(searching, "red shirt", match="looks", min_score=0.9)) == ["alike"]


@pytest.mark.parametrize("typed", ["AB-1234-X", "ab1234x", "AB 1234 X"])
def test_a_code_is_found_first_and_the_encoder_is_not_asked(
    searching: Searching, typed: str
) -> None:
    searching.put("Shirt AB-1234-XL", 30.0, "begins")
    searching.put("Shirt", 30.0, "coded", sku="AB-1234-X", vector=FAR)
    answer = ask(searching, typed)
    assert ids(answer)[:2] == ["coded", "begins"]
    assert "code" in answer.results[0].matched
    assert answer.results[0].similarity_score is None
    assert searching.encoder.texts == []
    # Whether looks count must not depend on filters, or facets would promise other totals.
    assert ids(ask(searching, typed, price_max=1)) == []
    assert ids(ask(searching, typed, category_filter="none")) == []
    assert searching.encoder.texts == []


def test_a_slip_is_looked_for_as_the_nearest_known_word_and_the_answer_says_so(
    searching: Searching,
) -> None:
    searching.put("Cotton shirt", 30.0, vector=FAR)
    answer = ask(searching, "shrit", match="words")
    assert (ids(answer), answer.corrected) == (["p"], {"shrit": "shirt"})


def test_a_word_that_has_just_come_is_not_taken_for_a_slip(searching: Searching) -> None:
    searching.put("Zorblat", 30.0, "old")
    assert ask(searching, "zorblax", match="words").corrected
    searching.put("Zorblax", 30.0, "new")
    answer = ask(searching, "zorblax", match="words")
    assert (ids(answer), answer.corrected) == (["new"], {})


def test_without_the_encoder_words_answer_alone_and_nothing_of_it_is_kept(
    searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching.put("Red Shirt", 30.0, "worded", vector=FAR)
    searching.put("Summer tee", 30.0, "alike")

    def busy(*_: object) -> None:
        raise EncoderBusy("too many queries", 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(searching.encoder, "embed_text", busy)
        for _ in range(2):
            answer = ask(searching, "red shirt")
            assert (ids(answer), answer.degraded) == (["worded"], ["looks"])
        with pytest.raises(EncoderBusy):
            ask(searching, "red shirt", match="looks")
    answer = ask(searching, "red shirt")
    assert (sorted(ids(answer)), answer.degraded) == (["alike", "worded"], [])


def test_without_words_looks_answer_alone_and_nothing_of_it_is_kept(
    searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching.put("Red Shirt", 30.0, "worded", vector=FAR)
    searching.put("Summer tee", 30.0, "alike")

    def down(*_: object, **__: object) -> None:
        raise QdrantUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(searching.qdrant, "ranked_by_words", down)
        answer = ask(searching, "red shirt", min_score=0.9)
        assert (ids(answer), answer.degraded) == (["alike"], ["words"])
    assert ask(searching, "red shirt", min_score=0.9).degraded == []


def test_an_explanation_is_given_if_it_is_asked_for(searching: Searching) -> None:
    searching.put("Red Shirt", 30.0)
    assert ask(searching, "red shirt").results[0].explanation is None
    (hit,) = ask(searching, "red shirt", explain=True).results
    explanation = hit.explanation
    assert explanation is not None
    assert (explanation.words, explanation.code) == (1.0, None)
    assert explanation.looks is not None
    assert hit.score is not None
    weight = explanation.words_weight
    expected = weight * explanation.words + (1 - weight) * explanation.looks
    assert hit.score == pytest.approx(expected, abs=1e-5)


def test_of_a_group_the_best_that_meets_the_filters_is_the_result(searching: Searching) -> None:
    near = direction(b"red shirt")
    aside = (near + 0.3 * FAR) / np.linalg.norm(near + 0.3 * FAR)
    searching.put("Red Shirt", 30.0, "best", group_id="g")
    searching.put("Red Shirt", 20.0, "cheaper", group_id="g", vector=aside)
    searching.put("Red Shirt", 10.0, "alone", vector=FAR)
    answer = ask(searching, "red shirt")
    assert [(hit.product_id, hit.variants) for hit in answer.results] == [("best", 2), ("alone", 1)]
    assert answer.total == 2
    answer = ask(searching, "red shirt", price_max=25)
    assert [(hit.product_id, hit.variants) for hit in answer.results] == [
        ("cheaper", 1),
        ("alone", 1),
    ]
    assert ids(ask(searching, "red shirt", sort="price_asc")) == ["alone", "best"]
    assert ask(searching, "red shirt", group=False).total == 3


def test_browsing_needs_neither_words_nor_the_encoder(searching: Searching) -> None:
    for number, (name, price) in enumerate([("Hat", 10.0), ("Coat", 80.0), ("Boot", 40.0)]):
        searching.put(
            name,
            price,
            name.lower(),
            brand="Acme" if number else "Zeta",
            created_at=f"2026-01-0{number + 1}T00:00:00Z",
        )
    answer = ask(searching, facets=["brand", "price"], brand_filter="acme")
    assert (ids(answer), answer.total, answer.relation) == (["boot", "coat"], 2, "eq")
    assert answer.results[0].score is None
    assert answer.facets["brand"] == ValueFacet([ValueCount("Acme", 2), ValueCount("Zeta", 1)])
    assert answer.facets["price"] == PriceFacet(
        40.0, 80.0, [PriceRange(40.0, 40.0, 1), PriceRange(80.0, 80.0, 1)]
    )
    assert ids(ask(searching, sort="name")) == ["boot", "coat", "hat"]
    assert ids(ask(searching, sort="price_asc", offset=1, top_k=1)) == ["boot"]
    assert searching.encoder.texts == []


def test_strict_leaves_out_what_is_far_behind_the_nearest(searching: Searching) -> None:
    near = direction(b"red shirt")
    aside = (near + 1.5 * FAR) / np.linalg.norm(near + 1.5 * FAR)
    searching.put("A", 30.0, "near")
    searching.put("B", 1.0, "behind", vector=aside)
    cheap = {"match": "looks", "sort": "price_asc"}
    assert ids(ask(searching, "red shirt", **cheap)) == ["behind", "near"]
    assert ids(ask(searching, "red shirt", cutoff="strict", **cheap)) == ["near"]
    # The nearest of all counts, though the filter leaves it out.
    assert ids(ask(searching, "red shirt", cutoff="strict", price_max=5, **cheap)) == []
    assert ids(ask(searching, "red shirt", cutoff="strict", category_filter="x", **cheap)) == []
