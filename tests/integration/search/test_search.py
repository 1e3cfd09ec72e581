"""What a search promises: never stale, each computation once, and an answer whatever is down."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY

from shared.errors import QdrantUnavailable
from shared.ledger import Generations, connect
from shared.models.change import Aspect
from shared.models.search.hits import Hit
from shared.models.search.requests import SearchRequest
from tests.integration.search.conftest import TENANT, Searching, direction
from tests.servers import RedisServer
from tests.waiting import wait_until

REQUEST = SearchRequest(text_query="red shirt")


def names(searching: Searching, request: SearchRequest = REQUEST) -> list[object]:
    return [result.name for result in searching.service.search(TENANT, request).results]


def test_a_repeated_search_comes_from_the_cache_with_the_same_results(
    searching: Searching,
) -> None:
    searching.put("Red Shirt", 30.0)
    first, again = (searching.service.search(TENANT, REQUEST) for _ in range(2))
    assert (first.cached, again.cached) == (False, True)
    assert again.results == first.results
    assert again.results[0].similarity_score == pytest.approx(1.0, abs=1e-5)


def test_after_a_change_has_landed_no_search_shows_the_state_before(searching: Searching) -> None:
    for at in range(20):
        searching.put(f"Shirt {at}", 30.0)
        assert names(searching) == [f"Shirt {at}"]
        assert names(searching) == [f"Shirt {at}"]
        assert searching.service.search(TENANT, REQUEST).cached  # or nothing could be stale


def test_a_change_that_lands_while_an_answer_is_made_is_seen_by_the_next_search(
    searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is kept under the generation that was read before Qdrant was asked."""
    searching.put("Old Shirt", 30.0)
    ask = searching.qdrant.hits

    def overtaken(*asked: Any) -> Sequence[Hit]:
        hits = ask(*asked)
        searching.put("New Shirt", 30.0)
        return hits

    with monkeypatch.context() as patch:
        patch.setattr(searching.qdrant, "hits", overtaken)
        assert names(searching) == ["Old Shirt"]
    assert names(searching) == ["New Shirt"]


def test_a_change_of_the_catalogue_spoils_no_query_vector(searching: Searching) -> None:
    for at in range(3):
        searching.put(f"Shirt {at}", 30.0)
        names(searching)
    assert searching.encoder.texts == ["red shirt"]


def test_spaces_make_no_other_query(searching: Searching) -> None:
    searching.put("Red Shirt", 30.0)
    searching.service.search(TENANT, REQUEST)
    spaced = SearchRequest(text_query="  red   shirt ")
    assert searching.service.search(TENANT, spaced).cached


@pytest.mark.parametrize(
    "other",
    [
        {"min_score": 0},
        {"match": "looks"},
        {"match": "words"},
        {"cutoff": "off"},
        {"category_filter": "x"},
        {"attributes": {"color": "red"}},
        {"text_query": "blue shirt"},
        {"product_id": "p"},
        {"image_base64": b"picture"},
    ],
)
def test_another_request_means_other_products(
    searching: Searching, other: dict[str, object]
) -> None:
    searching.put("Red Shirt", 30.0)
    searching.service.search(TENANT, REQUEST)
    changed = SearchRequest(**{"text_query": "red shirt", **other})
    assert not searching.service.search(TENANT, changed).cached


@pytest.mark.parametrize(
    "other",
    [
        {"top_k": 3},
        {"offset": 1},
        {"sort": "price_asc"},
        {"price_max": 30},
        {"in_stock": True},
        {"facets": ["brand", "price"]},
        {"category_filter": "x", "facets": ["category"]},
        {"group": False},
        {"explain": True},
    ],
)
def test_pages_sorts_facets_and_prices_cost_no_new_search(
    searching: Searching, other: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    searching.put("Red Shirt", 30.0)
    if "category_filter" in other:  # a click on a facet that was shown
        shown = SearchRequest(text_query="red shirt", facets=["category"])
        searching.service.search(TENANT, shown)
    searching.service.search(TENANT, REQUEST)
    for method in ("ranked_by_looks", "ranked_by_words", "ids_of_code"):
        monkeypatch.setattr(searching.qdrant, method, None)
    changed = SearchRequest(**{"text_query": "red shirt", **other})
    assert searching.service.search(TENANT, changed).cached


def test_no_answer_from_a_cached_result_set_breaks_its_own_filter(searching: Searching) -> None:
    """A worker has written a price and died before its report; then something else changes."""
    request = SearchRequest(text_query="red shirt", price_max=30)
    searching.put("Red Shirt", 30.0)
    searching.put("Other", 20.0, "q", vector=direction(b"other"))
    assert len(searching.service.search(TENANT, request).results) == 2
    searching.write("Red Shirt", 35.0)
    searching.put("Another", 20.0, "q", vector=direction(b"other"), changed={Aspect.SHOWN})
    for _ in range(2):
        answer = searching.service.search(TENANT, request)
        assert [result.name for result in answer.results] == ["Another"]


def test_after_the_ledger_is_lost_nothing_comes_from_the_cache(
    searching: Searching, ledger_server: RedisServer
) -> None:
    assert list(searching.service.search(TENANT, REQUEST).results) == []
    searching.put("Red Shirt", 30.0)
    client = connect(ledger_server.url)
    client.flushall()
    client.close()
    assert names(searching) == ["Red Shirt"]
    searching.put("Redder Shirt", 31.0, changed={Aspect.PRICE})
    assert names(searching) == ["Redder Shirt"]


def test_another_tenant_sees_nothing_of_it(searching: Searching) -> None:
    searching.put("Red Shirt", 30.0)
    searching.service.search(TENANT, REQUEST)
    answer = searching.service.search("other", REQUEST)
    assert (answer.cached, list(answer.results)) == (False, [])


def test_the_same_search_at_once_is_computed_once(searching: Searching) -> None:
    searching.put("Red Shirt", 30.0)
    searching.encoder.gate = threading.Event()
    found: list[list[object]] = []
    threads = [threading.Thread(target=lambda: found.append(names(searching))) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    searching.encoder.gate.set()
    for thread in threads:
        thread.join(60)
    assert found == [["Red Shirt"]] * 8
    assert searching.encoder.texts == ["red shirt"]


GARBAGE = [
    b"",
    b"\x80\x04pickle",
    b"{",
    b"null",
    b"7",
    b"{}",
    b"[7]",
    b"[{}]",
    b'[["p"]]',
    b'[["p", "high"]]',
    b"[[1, 0.5]]",
    b'[["p", 0.5, 1]]',
    b'[{"product_id": "p", "similarity_score": 0.5}]',
    b'[{"product_id": 1, "name": "x", "description": null, "price": null, "category": null,'
    b' "image_url": "x", "attributes": {}, "similarity_score": 0.5}]',
    b'[{"product_id": "p", "name": "x", "description": null, "price": "7", "category": null,'
    b' "image_url": "x", "attributes": [], "similarity_score": NaN, "secret": 1}]',
    b"[" * 100_000,
    b"[" + b"[]," * 1000 + b"[]]",
    b"\0" * 2048,
    b"\xff" * 2048,
]


def _spoil(cache_server: RedisServer, pattern: str, value: bytes | None) -> int:
    """Puts the value, or for None a list, in place of all that is cached under such keys."""
    cache = redis.Redis.from_url(cache_server.url)
    keys = list(cache.scan_iter(pattern))
    for key in keys:
        cache.delete(key)
        if value is None:
            cache.lpush(key, b"x")
        else:
            cache.set(key, value)
    cache.close()
    return len(keys)


@pytest.mark.parametrize(
    ("pattern", "metric"),
    [
        ("search:*", "search_cache_requests_total"),
        ("set:*", "search_ranking_requests_total"),
        ("vector:*", "search_vector_cache_requests_total"),
    ],
)
def test_what_is_cached_and_unreadable_is_dropped_counted_and_computed_anew(
    searching: Searching, cache_server: RedisServer, pattern: str, metric: str
) -> None:
    def unreadable() -> float:
        return REGISTRY.get_sample_value(metric, {"result": "unreadable"}) or 0.0

    searching.put("Red Shirt", 30.0)
    right = searching.service.search(TENANT, REQUEST).results
    before = unreadable()
    for value in GARBAGE:
        assert _spoil(cache_server, pattern, value) >= 1
        if pattern != "search:*":
            _drop(cache_server, "search:*")
        if pattern == "vector:*":
            _drop(cache_server, "set:*")
        assert searching.service.search(TENANT, REQUEST).results == right, value
        assert searching.service.search(TENANT, REQUEST).cached
    assert unreadable() == before + len(GARBAGE)


def _drop(cache_server: RedisServer, pattern: str) -> None:
    cache = redis.Redis.from_url(cache_server.url)
    cache.delete(*cache.keys(pattern))
    cache.close()


def test_what_is_cached_and_no_string_is_dropped(
    searching: Searching, cache_server: RedisServer
) -> None:
    searching.put("Red Shirt", 30.0)
    right = searching.service.search(TENANT, REQUEST).results
    _spoil(cache_server, "*", None)
    assert searching.service.search(TENANT, REQUEST).results == right
    assert searching.service.search(TENANT, REQUEST).cached


def test_without_the_cache_searches_answer_uncached(
    searching: Searching, cache_server: RedisServer
) -> None:
    searching.put("Red Shirt", 30.0)
    searching.service.search(TENANT, REQUEST)
    cache_server.kill9()
    for _ in range(3):
        answer = searching.service.search(TENANT, REQUEST)
        assert not answer.cached
        assert [result.name for result in answer.results] == ["Red Shirt"]


def test_once_it_is_back_the_cache_is_used_again(
    searching: Searching, cache_server: RedisServer
) -> None:
    searching.put("Red Shirt", 30.0)
    cache_server.kill9()
    searching.service.search(TENANT, REQUEST)
    cache_server.start()
    wait_until(
        lambda: searching.service.search(TENANT, REQUEST).cached, "the cache is not asked any more"
    )


def test_without_the_ledger_searches_answer_uncached(searching: Searching) -> None:
    searching.put("Red Shirt", 30.0)
    names(searching)
    gone = connect("redis://127.0.0.1:1/0", timeout=0.2)
    searching.service._generations = Generations(gone)
    for _ in range(2):
        answer = searching.service.search(TENANT, REQUEST)
        assert not answer.cached
        assert [result.name for result in answer.results] == ["Red Shirt"]


def test_an_error_is_shared_by_those_who_wait_and_not_kept(
    searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching.put("Red Shirt", 30.0)

    def down(*_: object, **__: object) -> None:
        raise QdrantUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(searching.qdrant, "ranked_by_looks", down)
        patch.setattr(searching.qdrant, "ranked_by_words", down)
        with pytest.raises(QdrantUnavailable):
            searching.service.search(TENANT, REQUEST)
    assert names(searching) == ["Red Shirt"]


def test_with_allowed_staleness_a_generation_is_read_once_in_that_time(
    searching: Searching, ledger_server: RedisServer
) -> None:
    searching.put("Blue Shirt", 20.0)
    client = connect(ledger_server.url)
    generations = Generations(client, max_staleness=0.3)
    before = generations.current(TENANT)
    searching.put("Red Shirt", 30.0)
    assert generations.current(TENANT) == before
    time.sleep(0.35)
    assert generations.current(TENANT) != before
    client.close()


def test_a_changed_price_shows_at_once_though_the_ranking_is_kept(searching: Searching) -> None:
    """The worker says what changed; a query without a price filter is ranked from the cache."""
    searching.put("Red Shirt", 30.0)
    searching.service.search(TENANT, REQUEST)
    searching.put("Red Shirt", 25.0, changed={Aspect.PRICE})
    answer = searching.service.search(TENANT, REQUEST)
    assert answer.cached
    assert [result.price for result in answer.results] == [25.0]
    again = searching.service.search(TENANT, REQUEST)
    assert again.results == answer.results


def test_a_filter_on_what_changed_is_asked_anew(searching: Searching) -> None:
    searching.put("Red Shirt", 30.0)
    cheap = SearchRequest(text_query="red shirt", price_max=26)
    assert names(searching, cheap) == []
    searching.put("Red Shirt", 25.0, changed={Aspect.PRICE})
    assert names(searching, cheap) == ["Red Shirt"]
    searching.put("Red Shirt", 27.0, changed={Aspect.PRICE})
    assert names(searching, cheap) == []


def test_a_ranking_that_can_not_be_read_is_computed_anew(
    searching: Searching, cache_server: RedisServer
) -> None:
    searching.put("Red Shirt", 30.0)
    names(searching)
    searching.put("Red Shirt", 25.0, changed={Aspect.PRICE})
    cache = redis.Redis.from_url(cache_server.url)
    for key in cache.scan_iter("set:*"):
        cache.set(key, b"{")
    assert names(searching) == ["Red Shirt"]
    cache.close()
