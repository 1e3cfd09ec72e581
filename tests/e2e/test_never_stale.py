"""Searchers that never pause, beside changes that never stop: none may see what is past."""

import threading
import time
from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture
from tests.waiting import wait_until

SEARCHERS = 8
CHANGES = 60
CHANGES_LONG = 500
"""With `--hypothesis-profile=long`, as for all that looks longer when asked to: a minute or two."""

State = float | None
"""The product's price; None where it is deleted."""


@dataclass
class Watch:
    """What searchers saw, with the moments between which they asked."""

    shop: Shop
    stop: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[float, float, State, bool]] = field(default_factory=list)

    def search(self) -> None:
        # A session of its own for each thread, as for each shopper.
        mine = Shop(self.shop.stack, self.shop.key)
        while not self.stop.is_set():
            asked = time.monotonic()
            answer = mine.search({"text_query": "blue", "top_k": 5})
            prices = [hit["price"] for hit in answer["results"] if hit["product_id"] == "watched"]
            state = prices[0] if prices else None
            self.seen.append((asked, time.monotonic(), state, answer["cached"]))
        mine.close()


def test_no_search_that_starts_after_a_change_has_landed_shows_the_state_before(
    shop: Shop, pictures: PictureServer, request: pytest.FixtureRequest
) -> None:
    is_long = request.config.getoption("--hypothesis-profile") == "long"
    changes = CHANGES_LONG if is_long else CHANGES
    product = {
        "id": "watched",
        "name": "Watched",
        "image_url": pictures.add("/w.jpg", picture((0, 0, 200))),
    }
    shop.index({**product, "price": 0})
    watch = Watch(shop)
    threads = [threading.Thread(target=watch.search) for _ in range(SEARCHERS)]
    for thread in threads:
        thread.start()
    # When each state had landed for certain, and when the next one was first asked for.
    landed: list[tuple[float, State]] = [(time.monotonic(), 0.0)]
    asked: list[float] = []
    for number in range(1, changes + 1):
        asked.append(time.monotonic())
        state: State = float(number)
        if number % 6 == 4:
            job = shop.call("DELETE", "/products/watched", 202)
            state = None
        elif number % 6 in (5, 0):
            job = shop.call("POST", "/index-product", 202, json={**product, "price": number})
        else:
            job = shop.call("PATCH", "/products/watched", 202, json={"price": number})
        shop.finished(job["job_id"])
        landed.append((time.monotonic(), state))
        # All searchers have begun anew and ended, however slow they are.
        enough = len(watch.seen) + 3 * SEARCHERS
        wait_until(lambda least=enough: len(watch.seen) >= least)
    asked.append(float("inf"))
    watch.stop.set()
    for thread in threads:
        thread.join(60)

    checked = cached = 0
    for started, ended, state, was_cached in watch.seen:
        for (since, expected), until in zip(landed, asked, strict=True):
            if since <= started and ended <= until:
                assert state == expected, f"searched {started - since:.3f} s after it had landed"
                checked += 1
                cached += was_cached
    assert checked > 2 * changes
    assert cached, "no search was answered from the cache, so the test shows little"
