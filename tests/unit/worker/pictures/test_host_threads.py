"""Hosts share the threads for pictures: none holds all, none waits for another's queue."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from worker.pictures.host_threads import HostThreads

THREADS = 16


class Held:
    """Work that stands still until it is let go, counted by host."""

    def __init__(self) -> None:
        self.threads = HostThreads(THREADS, "test")
        self.begun: Counter[str] = Counter()
        self.release = threading.Event()
        self._lock = threading.Lock()

    def submit(self, host: str, times: int) -> None:
        for _ in range(times):
            self.threads.submit(host, lambda: self._work(host))

    def settle(self, expected: dict[str, int]) -> None:
        """Waits until so many are in work, and makes sure that no more begin."""
        deadline = time.monotonic() + 60
        while self.begun != expected and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)
        assert self.begun == expected

    def _work(self, host: str) -> None:
        with self._lock:
            self.begun[host] += 1
        self.release.wait(60)


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.release.set()
    made.threads.shutdown()


def test_one_host_leaves_a_quarter_and_another_takes_it_at_once(held: Held) -> None:
    held.submit("a", 100)
    held.settle({"a": 12})
    held.submit("b", 100)
    held.settle({"a": 12, "b": 3})
    held.submit("c", 100)
    held.settle({"a": 12, "b": 3, "c": 1})


def test_all_are_done_in_the_end(held: Held) -> None:
    for host in "abcdef":
        held.submit(host, 30)
    held.release.set()
    held.settle(dict.fromkeys("abcdef", 30))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_few_threads_work_all_the_same(threads: int) -> None:
    pool = HostThreads(threads, "test")
    futures = [pool.submit("ab"[at % 2], _give(at)) for at in range(20)]
    assert [future.result(60) for future in futures] == list(range(20))
    pool.shutdown()


def test_what_raises_and_what_is_cancelled_takes_no_thread_with_it(held: Held) -> None:
    held.submit("a", 12)
    held.settle({"a": 12})
    failing = [held.threads.submit("a", lambda: 1 // 0) for _ in range(20)]
    cancelled = [held.threads.submit("a", _give(at)) for at in range(20)]
    assert all(future.cancel() for future in cancelled)
    held.release.set()
    for future in failing:
        with pytest.raises(ZeroDivisionError):
            future.result(60)
    held.begun.clear()
    held.release.clear()
    held.submit("b", 20)
    held.settle({"b": 12})


def test_the_end_cancels_what_waits_and_takes_no_more(held: Held) -> None:
    held.submit("a", 12)
    held.settle({"a": 12})
    waiting = held.threads.submit("a", _give(1))
    threading.Timer(0.05, held.release.set).start()
    held.threads.shutdown()
    assert waiting.cancelled()
    with pytest.raises(RuntimeError):
        held.threads.submit("a", _give(1))


def _give(value: int) -> Callable[[], int]:
    return lambda: value
