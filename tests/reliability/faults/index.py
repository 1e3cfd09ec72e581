"""Qdrant and the cache: killed, stopped, frozen, while they are written to and searched."""

import time
from http import HTTPStatus

import requests

from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.stack import FaultyStack, eventually
from tests.reliability.faults.table import Row


def kill_qdrant(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """kill -9 while a batch is being written."""
    for number in range(times):
        catalogue.put(*(catalogue.product(f"p{number}-{at}") for at in range(80)))
        notes = stack.orders.count("writing")
        eventually(lambda seen=notes: stack.orders.count("writing") > seen, 60, "a write")
        stack.kill("qdrant")
        row.phases["while written to"] += 1
    killed_at = time.monotonic()
    # Jobs may all have ended before the last kill, so they don't show that Qdrant is back.
    stack.wait_until_ready(60)
    catalogue.check(row, 120)
    row.recovery_seconds = time.monotonic() - killed_at


def freeze_qdrant(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """SIGSTOP while it is written to and searched."""
    catalogue.lands(60, "before")
    slowest = 0.0
    for number in range(times):
        catalogue.put(*(catalogue.product(f"p{number}-{at}") for at in range(80)))
        with stack.frozen("qdrant"):
            slowest = max(slowest, *(_refused_search(catalogue, at) for at in range(2)))
        row.phases["while written to and searched"] += 1
    thawed = time.monotonic()
    catalogue.check(row, 120)
    row.recovery_seconds = time.monotonic() - thawed
    row.remark = f"searches answered 503 within {slowest:.1f} s"


def outlast_an_outage(stack: FaultyStack, catalogue: Catalogue, row: Row, leases: int) -> None:
    """Away for many lifetimes of leases and retries: nobody's fault, so nothing fails."""
    seconds = leases * stack.settings.lease_seconds
    catalogue.lands(60, "before")
    with stack.stopped("qdrant"):
        catalogue.put(*(catalogue.product(f"p{at}") for at in range(100)))
        catalogue.put(catalogue.product("single"))
        catalogue.patch("before", {"price": 1.0})
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            _refused_search(catalogue, 0)
            time.sleep(1.0)
    back = time.monotonic()
    row.phases[f"{leases} leases long"] += 1
    outcomes = catalogue.check(row, 120)
    assert not outcomes["failed"]
    row.recovery_seconds = time.monotonic() - back


def lose_the_cache(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """Searches answer without it, and use it again once it is back."""
    catalogue.lands(60, "before")
    query = {"text_query": "red", "cutoff": "off"}
    assert catalogue.shop.search(query)["results"]
    for _ in range(times):
        with stack.stopped("redis-cache"):
            answer = catalogue.shop.search(query)
            assert answer["results"]
            assert not answer["cached"]
        row.phases["stopped"] += 1
        back = time.monotonic()
        eventually(lambda: catalogue.shop.search(query)["cached"], 60, "the cache to be used")
        row.recovery_seconds = time.monotonic() - back
        with stack.frozen("redis-cache"):
            other = {"text_query": f"red {back}", "cutoff": "off"}
            assert catalogue.shop.search(other)["results"]
        row.phases["frozen"] += 1
        eventually(lambda: catalogue.shop.search(query)["cached"], 60, "the cache to be used")
    catalogue.check(row, 60)


def _refused_search(catalogue: Catalogue, number: int) -> float:
    """A search that no cache can answer; seconds until its 503."""
    shop = catalogue.shop
    asked = time.monotonic()
    answer = requests.post(
        f"{shop.stack.api_url}/api/v1/search",
        json={"text_query": f"red {number} {asked}"},
        headers={"Authorization": f"Bearer {shop.key}"},
        timeout=60,
    )
    took = time.monotonic() - asked
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    # The client's whole time would be 60 s.
    assert took < shop.stack.settings.search_timeout_seconds + 20
    return took
