"""Searches by picture and by product: each computed once, never stale, sharing what is the same."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import redis

from shared.embedding.encoder import Vector
from shared.errors import ProductNotFound, QueryPictureFault
from shared.models.search.answers import SearchAnswer
from shared.models.search.requests import SearchRequest, SimilarRequest
from tests.integration.search.conftest import TENANT, Searching, direction
from tests.servers import RedisServer

URL = "http://shop.example/query.jpg"
SENT = SearchRequest(image_base64=b"picture one")
LINKED = SearchRequest(image_url=URL)


def search(searching: Searching, request: SearchRequest) -> SearchAnswer:
    return searching.service.search(TENANT, request)


def ids(answer: SearchAnswer) -> list[object]:
    return [result.product_id for result in answer.results]


@pytest.fixture
def catalogue(searching: Searching) -> Searching:
    for name in ("one", "two", "three"):
        vector = direction(f"picture {name}".encode())
        searching.put(name, 30.0, name, vector=vector)
    searching.pages[URL] = b"picture one"
    return searching


def test_a_products_own_picture_finds_it_first(catalogue: Searching) -> None:
    answer = search(catalogue, SENT)
    assert (answer.query_type, answer.cached) == ("image", False)
    assert ids(answer)[0] == "one"
    assert answer.results[0].similarity_score == pytest.approx(1, abs=1e-5)


def test_the_same_picture_shares_answer_and_vector_however_it_came(catalogue: Searching) -> None:
    first = search(catalogue, SENT)
    again = search(catalogue, LINKED)
    assert (first.cached, again.cached) == (False, True)
    assert again.results == first.results
    assert catalogue.encoder.pictures == 1


def test_what_a_url_serves_now_is_what_is_searched_by(catalogue: Searching) -> None:
    assert ids(search(catalogue, LINKED))[0] == "one"
    catalogue.pages[URL] = b"picture two"
    answer = search(catalogue, LINKED)
    assert not answer.cached
    assert ids(answer)[0] == "two"


def test_a_change_of_the_catalogue_spoils_no_pictures_vector(catalogue: Searching) -> None:
    for at in range(3):
        catalogue.put(f"name {at}", 30.0, "one", vector=direction(b"picture one"))
        answer = search(catalogue, SENT)
        assert not answer.cached
        assert answer.results[0].name == f"name {at}"
    assert catalogue.encoder.pictures == 1


def test_a_text_and_a_pictures_digest_are_never_mixed_up(
    catalogue: Searching, cache_server: RedisServer
) -> None:
    search(catalogue, SENT)
    sha256 = hashlib.sha256(b"picture one").hexdigest()
    search(catalogue, SearchRequest(text_query=f"image {sha256}"))
    search(catalogue, SearchRequest(text_query=sha256))
    cache = redis.Redis.from_url(cache_server.url)
    assert len(list(cache.scan_iter("vector:*"))) == 3
    cache.close()


def test_the_same_picture_at_once_is_embedded_once(catalogue: Searching) -> None:
    catalogue.encoder.gate = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(search, catalogue, request) for request in (SENT, LINKED) * 2]
        time.sleep(0.3)
        catalogue.encoder.gate.set()
    assert [ids(answer.result())[0] for answer in answers] == ["one"] * 4
    assert catalogue.encoder.pictures == 1


def test_who_shares_a_bad_pictures_search_hears_of_the_field_it_was_given_in(
    catalogue: Searching,
) -> None:
    catalogue.pages[URL] = b"a page"
    catalogue.encoder.gate = threading.Event()
    requests = (LINKED, SearchRequest(image_base64=b"a page"))
    with ThreadPoolExecutor(2) as pool:
        leads = pool.submit(search, catalogue, requests[0])
        assert catalogue.encoder.preparing.wait(60)
        shares = pool.submit(search, catalogue, requests[1])
        time.sleep(0.1)
        catalogue.encoder.gate.set()
    faults = [each.exception() for each in (leads, shares)]
    assert [fault.field for fault in faults if isinstance(fault, QueryPictureFault)] == [
        "image_url",
        "image_base64",
    ]
    assert catalogue.encoder.prepared == 1


def test_a_bad_picture_is_named_and_not_kept(catalogue: Searching) -> None:
    catalogue.pages[URL] = b"a page"
    with pytest.raises(QueryPictureFault) as caught:
        search(catalogue, LINKED)
    assert (caught.value.code, caught.value.field) == ("not_an_image", "image_url")
    catalogue.pages[URL] = b"picture two"
    assert ids(search(catalogue, LINKED))[0] == "two"


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(catalogue: Searching) -> None:
    with pytest.raises(QueryPictureFault) as caught:
        search(catalogue, SearchRequest(image_base64=b"picture" * (2 * 2**20)))
    assert (caught.value.code, caught.value.field) == ("image_too_large", "image_base64")


def test_a_mix_leads_to_what_is_like_all_of_its_sources(catalogue: Searching) -> None:
    catalogue.put("between", 30.0, "between", vector=_sum(b"picture one", b"picture two"))
    answer = search(catalogue, SearchRequest(image_base64=b"picture one", product_id="two"))
    assert answer.query_type == "mixed"
    assert ids(answer)[0] == "between"
    assert answer.results[0].similarity_score == pytest.approx(1, abs=1e-5)
    with_text = search(
        catalogue, SearchRequest(text_query="picture two", image_base64=b"picture one")
    )
    assert with_text.results == answer.results


def _sum(one: bytes, two: bytes) -> Vector:
    total = direction(one) + direction(two)
    return total / np.float32(np.linalg.norm(total))


def test_a_search_by_product_finds_itself_first_and_follows_its_picture(
    catalogue: Searching,
) -> None:
    request = SearchRequest(product_id="one", top_k=1)
    for _ in range(2):
        answer = search(catalogue, request)
        assert (answer.query_type, ids(answer)) == ("product", ["one"])
    assert answer.cached
    catalogue.put("one", 30.0, "one", vector=direction(b"picture two"))
    followed = search(catalogue, SearchRequest(product_id="one"))
    assert ids(followed)[:2] == ["one", "two"]
    assert {result.similarity_score for result in followed.results[:2]} == {1.0}


def test_a_product_that_is_gone_is_not_searched_by_even_where_it_was_cached(
    catalogue: Searching,
) -> None:
    search(catalogue, SearchRequest(product_id="one"))
    catalogue.service.similar(TENANT, SimilarRequest(product_id="one"))
    catalogue.delete("one")
    with pytest.raises(ProductNotFound):
        search(catalogue, SearchRequest(product_id="one"))
    with pytest.raises(ProductNotFound):
        catalogue.service.similar(TENANT, SimilarRequest(product_id="one"))
    with pytest.raises(ProductNotFound):
        catalogue.service.search("other", SearchRequest(product_id="two"))


def test_similar_products_are_others_than_itself_and_its_group(searching: Searching) -> None:
    for product_id, group in (("s", "shirt"), ("m", "shirt"), ("other", None), ("shirt", None)):
        vector = direction(b"picture one")
        searching.put(product_id, 30.0, product_id, vector=vector, group_id=group)
    answer = searching.service.similar(TENANT, SimilarRequest(product_id="s"))
    # A product without a group is its own: "shirt" is a member of the group of that name.
    assert (answer.query_type, ids(answer)) == ("product", ["other"])
    alone = searching.service.similar(TENANT, SimilarRequest(product_id="other", group=False))
    assert ids(alone) == ["m", "s", "shirt"]
    assert searching.service.similar(TENANT, SimilarRequest(product_id="other")).cached
    searching.put("other", 30.0, "other", vector=direction(b"picture one"), group_id="shirt")
    assert ids(searching.service.similar(TENANT, SimilarRequest(product_id="other"))) == []


def test_the_least_score_is_the_one_that_results_show(catalogue: Searching) -> None:
    everything = search(catalogue, SearchRequest(text_query="red shirt"))
    scores = [result.similarity_score for result in everything.results]
    assert len(set(scores)) == 3
    for at, score in enumerate(scores):
        least = SearchRequest(text_query="red shirt", min_score=score)
        assert search(catalogue, least).results == everything.results[: at + 1]
    assert not search(catalogue, SearchRequest(text_query="red shirt", min_score=1)).results


def test_pages_of_products_with_one_picture_neither_repeat_nor_miss_any(
    searching: Searching,
) -> None:
    for at in range(40):
        searching.put("shirt", 30.0, f"p{at:02}", vector=direction(b"picture one"))
    pages = [
        ids(search(searching, SearchRequest(image_base64=b"picture one", top_k=7, offset=offset)))
        for offset in range(0, 42, 7)
    ]
    assert [product_id for page in pages for product_id in page] == [
        f"p{at:02}" for at in range(40)
    ]


ATTRIBUTES = {
    "red": {"color": "red", "sale": True, "stock": 1, "width": 1.5},
    "pink": {"color": ["pink", "white"], "sale": False, "stock": 20, "width": 2.0},
    "odd": {"color": "1", "sale": "true", "stock": "1", "shoe size": "42"},
    "bare": {},
}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"color": "red"}, {"red"}),
        ({"color": ["red", "pink"]}, {"red", "pink"}),
        ({"color": "white"}, {"pink"}),
        ({"color": ["1"]}, {"odd"}),
        ({"color": 1}, set()),
        ({"color": "re"}, set()),
        ({"color": "Red"}, {"red"}),
        ({"color": "RÉD"}, {"red"}),
        ({"color": ["red", "pink", "1", "a", "b", "c"]}, {"red", "pink", "odd"}),
        ({"sale": True}, {"red"}),
        ({"sale": [False, True]}, {"red", "pink"}),
        ({"sale": "true"}, {"odd"}),
        ({"sale": 1}, set()),
        ({"stock": 1}, {"red"}),
        ({"stock": 1.0}, {"red"}),
        ({"stock": "1"}, {"odd"}),
        ({"stock": ["1", 20]}, {"odd", "pink"}),
        ({"width": 2}, {"pink"}),
        ({"width": 1.5}, {"red"}),
        ({"shoe size": "42"}, {"odd"}),
        ({"color": "red", "sale": True}, {"red"}),
        ({"color": "red", "sale": False}, set()),
        ({"unknown": "x"}, set()),
    ],
)
def test_attributes_match_exactly_and_lists_by_their_members(
    searching: Searching, asked: dict[str, object], found: set[str]
) -> None:
    for product_id, attributes in ATTRIBUTES.items():
        searching.put(product_id, 30.0, product_id, attributes=attributes)
    request = SearchRequest.model_validate({"text_query": "red shirt", "attributes": asked})
    assert set(ids(search(searching, request))) == found
