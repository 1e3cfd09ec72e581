"""Which searches share an answer."""

from typing import Any

import numpy as np
import pytest

from shared.errors import SourcesCancelOut
from shared.models.change import Aspect
from shared.models.search.filters import Filters
from shared.models.search.requests import SearchRequest, SimilarRequest
from shared.search.cache.answers import answer_key
from shared.search.finding import mixed
from shared.search.query import Query, QueryPicture


def key(fields: dict[str, Any], *pictures: QueryPicture) -> str:
    request = SearchRequest.model_validate({"text_query": "a", **fields})
    return answer_key("shop", "c", "1", Query.of_search(request, pictures).normalised())


FROM_URL = QueryPicture.of("image_url", b"one")
SENT = QueryPicture.of("image_base64", b"one")
OTHER = QueryPicture.of("image_base64", b"two")


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"text_query": " a  b"}, {"text_query": "a b"}),
        ({"price_min": 20}, {"price_min": 20.0}),
        ({"min_score": 0}, {"min_score": 0.0}),
        ({"offset": 0, "top_k": 10}, {}),
        ({"attributes": {}}, {}),
        ({"attributes": {"color": "red"}}, {"attributes": {"color": ["red"]}}),
        (
            {"attributes": {"color": ["red", "pink", "red"], "size": [1, 2.0]}},
            {"attributes": {"size": [2, 1.0], "color": ["pink", "red"]}},
        ),
    ],
)
def test_what_asks_for_the_same_shares_an_answer(one: dict[str, Any], same: dict[str, Any]) -> None:
    assert key(one) == key(same)


DIFFERENT: list[dict[str, Any]] = [
    {},
    {"text_query": "b"},
    {"product_id": "a"},
    {"product_id": "b"},
    {"top_k": 9},
    {"offset": 1},
    {"min_score": 0},
    {"min_score": 0.1},
    {"match": "looks"},
    {"match": "words"},
    {"cutoff": "off"},
    {"cutoff": "strict"},
    {"sort": "name"},
    {"facets": ["brand"]},
    {"group": False},
    {"explain": True},
    {"price_min": 1},
    {"price_max": 1},
    {"category_filter": "a"},
    {"attributes": {"a": "1"}},
    {"attributes": {"a": 1}},
    {"attributes": {"a": True}},
    {"attributes": {"a": "true"}},
    {"attributes": {"a": ["1", 1]}},
    {"attributes": {"b": "1"}},
]


def test_what_asks_for_something_else_has_an_answer_of_its_own() -> None:
    keys = [key(fields) for fields in DIFFERENT]
    keys += [key({}, SENT), key({}, OTHER), key({}, SENT, OTHER), key({}, SENT, SENT)]
    assert len(set(keys)) == len(keys)


def test_a_picture_counts_by_its_content_wherever_it_comes_from() -> None:
    assert key({}, FROM_URL) == key({}, SENT)
    assert key({"image_url": "http://a/b"}, FROM_URL) == key({"image_url": "http://c/d"}, FROM_URL)
    assert key({}, FROM_URL, OTHER) == key({}, OTHER, SENT)


def test_similar_products_are_another_query_than_a_search_by_the_product() -> None:
    by_product = SearchRequest(product_id="p")
    similar = SimilarRequest(product_id="p")
    assert Query.of_search(by_product, []).normalised() != Query.of_similar(similar).normalised()


def test_tenants_collections_and_generations_never_share_an_answer() -> None:
    query = Query.of_search(SearchRequest(text_query="a"), []).normalised()
    keys = {
        answer_key(*parts, query)
        for parts in [("s", "c", "1"), ("t", "c", "1"), ("s", "d", "1"), ("s", "c", "2")]
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("fields", "aspects"),
    [
        ({}, set()),
        ({"min_score": 0.1, "offset": 3}, set()),
        ({"price_min": 1}, {Aspect.PRICE}),
        ({"price_max": 1}, {Aspect.PRICE}),
        ({"category_filter": "hats"}, {Aspect.CATEGORY}),
        ({"attributes": {"color": "red"}}, {Aspect.ATTRIBUTES}),
        ({"price_min": 0, "category_filter": "a"}, {Aspect.PRICE, Aspect.CATEGORY}),
    ],
)
def test_a_result_set_depends_on_what_its_filters_look_at(
    fields: dict[str, Any], aspects: set[Aspect]
) -> None:
    request = SearchRequest.model_validate({"text_query": "a", "match": "looks", **fields})
    assert Query.of_search(request, []).found_by(request) == {Aspect.MEMBERSHIP, *aspects}


def test_a_result_set_of_words_depends_on_texts_too_but_on_no_price() -> None:
    request = SearchRequest(text_query="a")
    aspects = Query.of_search(request, []).found_by(request)
    assert aspects == set(Aspect) - {Aspect.PRICE, Aspect.AVAILABILITY}


def test_pages_sorts_and_facets_share_a_result_set() -> None:
    one = SearchRequest(text_query="a")
    other = SearchRequest(
        text_query="a", offset=10, top_k=5, sort="name", facets=["brand"], group=False, explain=True
    )
    asked = [Query.of_search(request, []) for request in (one, other)]
    assert asked[0].meaning(Filters()) == asked[1].meaning(Filters())
    assert asked[0].normalised() != asked[1].normalised()


def test_a_mix_is_the_normalised_sum() -> None:
    one, two, three = np.eye(4, dtype=np.float32)[:3]
    assert np.allclose(mixed([one, two]), [0.5**0.5, 0.5**0.5, 0, 0])
    assert np.allclose(mixed([one, two, three]), [3**-0.5] * 3 + [0])
    assert mixed([one, two]).dtype == np.float32
    assert mixed([one]) is one


def test_sources_that_cancel_out_are_the_callers_fault() -> None:
    one = np.eye(4, dtype=np.float32)[0]
    with pytest.raises(SourcesCancelOut):
        mixed([one, -one])
