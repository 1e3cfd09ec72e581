"""The batcher fills batches across threads, finds culprits and never leaves a caller hanging."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.embedding.batcher import Batcher
from shared.errors import EncoderBusy, ItemCode, ItemPermanent

WAIT = 60.0


class Doubler:
    """Doubles numbers; negative ones break their batch, 666 fails in its result only.

    While `gate` is closed, a batch that has begun stands still.
    """

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.broken: type[BaseException] | None = None

    def __call__(self, batch: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(batch))
        self.begun.set()
        assert self.gate.wait(WAIT)
        if self.broken is not None:
            raise self.broken("out of order")
        if min(batch) < 0:
            raise ValueError("a negative number")
        return [
            ItemPermanent(ItemCode.EMBEDDING_FAILED, "no vector") if item == 666 else 2 * item
            for item in batch
        ]


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def batcher(doubler: Doubler) -> "Batcher[int, int]":
    return Batcher("test", doubler, max_batch=8, max_wait=0.005, capacity=16)


def hold(batcher: "Batcher[int, int]", doubler: Doubler) -> None:
    """Let the thread stand in a batch of one, so that what follows gathers in the queue."""
    doubler.gate.clear()
    doubler.begun.clear()
    batcher.submit(0, WAIT)
    assert doubler.begun.wait(WAIT)


def test_one_item_comes_back(batcher: "Batcher[int, int]") -> None:
    assert batcher.result(batcher.submit(21, WAIT), WAIT) == 42


def test_items_of_many_threads_share_a_batch(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    with ThreadPoolExecutor(12) as pool:
        results = [
            pool.submit(lambda n=n: batcher.result(batcher.submit(n, WAIT), WAIT))
            for n in range(1, 13)
        ]
        deadline = time.monotonic() + WAIT
        while len(batcher._waiting) < 12 and time.monotonic() < deadline:
            time.sleep(0.001)
        doubler.gate.set()
        assert [future.result() for future in results] == [2 * n for n in range(1, 13)]
    assert [len(batch) for batch in doubler.batches] == [1, 8, 4]


def test_a_lone_item_does_not_wait_for_company(doubler: Doubler) -> None:
    batcher: Batcher[int, int] = Batcher("test", doubler, max_batch=8, max_wait=0.0, capacity=16)
    batcher.result(batcher.submit(1, WAIT), WAIT)
    took = []
    for _ in range(10):
        started = time.perf_counter()
        batcher.result(batcher.submit(1, WAIT), WAIT)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.1


@pytest.mark.parametrize("culprits", [{3}, {0, 7}, {1, 2, 5}])
def test_culprits_fail_alone_and_the_others_succeed(
    batcher: "Batcher[int, int]", doubler: Doubler, culprits: set[int]
) -> None:
    hold(batcher, doubler)
    futures = [batcher.submit(-1 if n in culprits else n, WAIT) for n in range(8)]
    doubler.gate.set()
    for n, future in enumerate(futures):
        if n in culprits:
            with pytest.raises(ItemPermanent) as caught:
                batcher.result(future, WAIT)
            assert caught.value.code is ItemCode.EMBEDDING_FAILED
        else:
            assert batcher.result(future, WAIT) == 2 * n


def test_a_result_that_is_an_error_fails_its_item_only(batcher: "Batcher[int, int]") -> None:
    bad, good = batcher.submit(666, WAIT), batcher.submit(1, WAIT)
    with pytest.raises(ItemPermanent, match="no vector"):
        batcher.result(bad, WAIT)
    assert batcher.result(good, WAIT) == 2


def test_a_model_that_fails_on_everything_blames_no_item(doubler: Doubler) -> None:
    batcher: Batcher[int, int] = Batcher(
        "test", doubler, max_batch=8, max_wait=0.0, capacity=16, probe=lambda: doubler([1])
    )
    doubler.broken = RuntimeError
    with pytest.raises(EncoderBusy):
        batcher.result(batcher.submit(1, WAIT), WAIT)
    doubler.broken = None
    with pytest.raises(ItemPermanent):
        batcher.result(batcher.submit(-1, WAIT), WAIT)


def test_too_few_results_fail_and_do_not_hang() -> None:
    batcher: Batcher[int, int] = Batcher(
        "test", lambda _: [], max_batch=8, max_wait=0.0, capacity=16
    )
    with pytest.raises(ItemPermanent):
        batcher.result(batcher.submit(1, WAIT), WAIT)


def test_a_full_queue_refuses_at_the_deadline(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    for n in range(16):
        batcher.submit(n, WAIT)
    started = time.monotonic()
    with pytest.raises(EncoderBusy) as caught:
        batcher.submit(99, 0.05)
    assert 0.04 < time.monotonic() - started < 30
    assert caught.value.retry_after == 1.0
    with pytest.raises(EncoderBusy):
        batcher.submit(99, 0.0)
    doubler.gate.set()


def test_a_full_queue_holds_a_patient_caller_back_until_there_is_room(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(lambda: [batcher.submit(n, WAIT) for n in range(40)])
        time.sleep(0.02)
        assert not submitted.done()
        assert len(batcher._waiting) == 16
        doubler.gate.set()
        futures = submitted.result(WAIT)
    assert [batcher.result(future, WAIT) for future in futures] == [2 * n for n in range(40)]


def test_what_is_urgent_overtakes_a_full_queue_in_a_batch_of_its_own(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    bulk = [batcher.submit(n, WAIT) for n in range(1, 17)]
    with pytest.raises(EncoderBusy):
        batcher.submit(17, 0.0)
    single = batcher.submit(100, 0.0, urgent=True)
    doubler.gate.set()
    assert batcher.result(single, WAIT) == 200
    assert [batcher.result(future, WAIT) for future in bulk] == [2 * n for n in range(1, 17)]
    assert doubler.batches == [[0], [100], list(range(1, 9)), list(range(9, 17))]


def test_what_is_not_urgent_gets_every_second_batch_however_much_is(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    bulk = [batcher.submit(n, WAIT) for n in range(1, 13)]
    singles = [batcher.submit(n, WAIT, urgent=True) for n in range(101, 117)]
    doubler.gate.set()
    for future in [*bulk, *singles]:
        batcher.result(future, WAIT)
    assert [(batch[0] > 100, len(batch)) for batch in doubler.batches[1:]] == [
        (True, 8),
        (False, 8),
        (True, 8),
        (False, 4),
    ]


def test_stop_drains_what_is_urgent_too(batcher: "Batcher[int, int]", doubler: Doubler) -> None:
    hold(batcher, doubler)
    futures = [batcher.submit(n, WAIT, urgent=n % 2 == 0) for n in range(10)]
    threading.Timer(0.02, doubler.gate.set).start()
    batcher.stop(WAIT)
    assert [future.result(0) for future in futures] == [2 * n for n in range(10)]


def test_who_gives_up_is_not_worked_for(batcher: "Batcher[int, int]", doubler: Doubler) -> None:
    hold(batcher, doubler)
    with pytest.raises(EncoderBusy):
        batcher.result(batcher.submit(5, WAIT), 0.01)
    kept = batcher.submit(6, WAIT)
    doubler.gate.set()
    assert batcher.result(kept, WAIT) == 12
    assert doubler.batches == [[0], [6]]


def test_a_queue_of_given_up_items_only_does_not_end_the_thread(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    with pytest.raises(EncoderBusy):
        batcher.result(batcher.submit(5, WAIT), 0.01)
    doubler.gate.set()
    time.sleep(0.02)
    assert batcher.result(batcher.submit(6, WAIT), WAIT) == 12


def test_stop_drains_what_waits_and_refuses_what_comes(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    futures = [batcher.submit(n, WAIT) for n in range(10)]
    threading.Timer(0.02, doubler.gate.set).start()
    batcher.stop(WAIT)
    assert [future.result(0) for future in futures] == [2 * n for n in range(10)]
    with pytest.raises(EncoderBusy):
        batcher.submit(1, WAIT)


def test_stop_fails_what_could_not_be_finished_in_time(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    futures = [batcher.submit(1, WAIT), batcher.submit(2, WAIT, urgent=True)]
    batcher.stop(0.01)
    for future in futures:
        with pytest.raises(EncoderBusy):
            batcher.result(future, WAIT)
    doubler.gate.set()


def test_stopping_an_unused_batcher_is_nothing(batcher: "Batcher[int, int]") -> None:
    batcher.stop(WAIT)


def test_a_dying_thread_fails_its_callers_and_is_replaced(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    futures = [batcher.submit(n, WAIT) for n in range(12)]
    doubler.broken = SystemExit
    doubler.gate.set()
    for future in futures:
        with pytest.raises(EncoderBusy):
            batcher.result(future, WAIT)
    doubler.broken = None
    assert batcher.result(batcher.submit(4, WAIT), WAIT) == 8


def test_a_stuck_model_does_not_hold_its_callers(
    batcher: "Batcher[int, int]", doubler: Doubler
) -> None:
    hold(batcher, doubler)
    started = time.monotonic()
    with pytest.raises(EncoderBusy):
        batcher.result(batcher.submit(1, WAIT), 0.05)
    assert time.monotonic() - started < 30
    doubler.gate.set()
