"""What overtakes bulk, and what bulk keeps: real threads, with a picture server that hangs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.models.change import Lane, Outcome
from tests.integration.worker.conftest import Worker
from tests.pictures import picture
from tests.waiting import wait_until
from worker.bulk_slots import BulkSlots
from worker.pictures import reader

PICTURE_THREADS = 6
"""Those that one server's pictures get of eight."""


def hang(worker: Worker, name: str) -> threading.Event:
    """The picture comes once the event is set."""
    event = worker.pictures.delays[f"/{name}.jpg"] = threading.Event()
    return event


def test_a_single_passes_bulk_whose_pictures_hold_all_their_threads(worker: Worker) -> None:
    slow = [worker.product(f"slow-{at}", picture()) for at in range(PICTURE_THREADS + 4)]
    events = [hang(worker, product.id) for product in slow]
    bulk = worker.push(*slow)
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: len(worker.pictures.requests) == PICTURE_THREADS)
        single = worker.push(worker.product("single", picture()), lane=Lane.SINGLE)
        worker.bells.serve()
        assert worker.counts(single) == {Outcome.INDEXED: 1}
        assert worker.counts(bulk) == {Outcome.PENDING: len(slow)}
        for event in events:
            event.set()
        answered.result(60)
    assert worker.counts(bulk) == {Outcome.INDEXED: len(slow)}
    assert worker.encoder.urgent == worker.encoder.decoded_urgently == 1


def test_bulk_leaves_threads_free_and_its_bell_is_not_lost(worker: Worker) -> None:
    worker.bells._bulk_slots = BulkSlots(1)
    came = hang(worker, "slow")
    bulk = worker.push(worker.product("slow", picture()))
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: worker.pictures.requests == ["/slow.jpg"])
        more = worker.push(worker.product("more", picture()))
        assert not worker.bells.serve()
        assert worker.counts(more) == {Outcome.PENDING: 1}
        assert worker.bell.rings == []
        came.set()
        answered.result(60)
    assert worker.counts(bulk) == {Outcome.INDEXED: 1}
    assert worker.bell.rings == [Lane.BULK]
    worker.bells.serve()
    assert worker.counts(more) == {Outcome.INDEXED: 1}


def test_who_frees_a_place_and_goes_on_rings_for_nobody(worker: Worker) -> None:
    worker.bells._bulk_slots = BulkSlots(1)
    came = hang(worker, "a-slow")  # one of the first claim, which takes them by their names
    shared = picture((3, 3, 3))
    others = [worker.product(f"p{at}", shared) for at in range(69)]
    bulk = worker.push(worker.product("a-slow", picture()), *others)
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve_all)
        wait_until(lambda: "/a-slow.jpg" in worker.pictures.requests)
        assert not worker.bells.serve()
        came.set()
        answered.result(60)
    assert worker.counts(bulk) == {Outcome.INDEXED: 70}
    assert worker.bell.rings == [Lane.BULK]  # for more than one claim holds, once


def test_one_bell_serves_both_lanes_the_single_first(worker: Worker) -> None:
    bulk = worker.push(worker.product("bulk", picture((1, 1, 1))))
    single = worker.push(worker.product("single", picture((2, 2, 2))), lane=Lane.SINGLE)
    worker.bells.serve()
    assert worker.pictures.requests == ["/single.jpg", "/bulk.jpg"]
    assert worker.counts(bulk) == worker.counts(single) == {Outcome.INDEXED: 1}
    assert (worker.encoder.embedded, worker.encoder.urgent) == (2, 1)


def test_a_single_waits_for_no_slower_one_that_was_claimed_with_it(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "STRAGGLER_SECONDS", 90.0)  # bulk's
    came = hang(worker, "slow")
    slow = worker.push(worker.product("slow", picture()), lane=Lane.SINGLE)
    quick = worker.push(worker.product("quick", picture()), lane=Lane.SINGLE)
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: worker.counts(quick) == {Outcome.INDEXED: 1})
        assert worker.counts(slow) == {Outcome.PENDING: 1}
        came.set()
        answered.result(60)
    assert worker.counts(slow) == {Outcome.INDEXED: 1}
