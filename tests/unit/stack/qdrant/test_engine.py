"""The embedded server's engine thread: its bounded queue and when it flushes."""

import math
import threading
import time
from collections.abc import Iterator

import pytest

from stack.qdrant.engine import Engine
from stack.qdrant.refusals import Refusal
from stack.qdrant.store import Store


class RecordingStore(Store):
    """A store without a directory that only counts its flushes."""

    def __init__(self) -> None:
        self.dirty = False
        self.due = False
        self.closed = False
        self.flushed = threading.Semaphore(0)

    def has_unflushed(self) -> bool:
        return self.dirty

    def flush_is_due(self) -> bool:
        return self.due

    def flush(self) -> None:
        self.dirty = self.due = False
        self.flushed.release()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
def engine(store: RecordingStore) -> Iterator[Engine]:
    engine = Engine(store, queue_size=2, idle_seconds=0.01)
    yield engine
    engine.close()
    assert store.closed


def test_beyond_the_bound_work_is_refused_and_what_waits_is_done(engine: Engine) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: Store) -> bool:
        begun.set()
        return go_on.wait(60)

    under_way = engine.submit(hold)
    assert begun.wait(60)
    waiting = [engine.submit(lambda _: 1), engine.submit(lambda _: 2)]
    with pytest.raises(Refusal) as refused:
        engine.submit(lambda _: 3)
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    go_on.set()
    assert under_way.result(60)
    assert [future.result(60) for future in waiting] == [1, 2]


@pytest.mark.parametrize("gone", [True, False])
def test_what_nobody_waits_for_any_more_is_not_begun(engine: Engine, gone: bool) -> None:
    begun, go_on, computed = threading.Event(), threading.Event(), []

    def hold(_: Store) -> bool:
        begun.set()
        return go_on.wait(60)

    engine.submit(hold)
    assert begun.wait(60)
    given_up = engine.submit(computed.append, math.inf if gone else 0.0)
    if gone:
        assert given_up.cancel()
    waited_for = engine.submit(lambda _: 2, 60.0)
    go_on.set()
    assert waited_for.result(60) == 2
    assert computed == []
    if not gone:
        with pytest.raises(Refusal) as refused:
            given_up.result(60)
        assert refused.value.status == 408


def test_work_that_fails_tells_its_caller_and_the_next_is_done(engine: Engine) -> None:
    def fail(_: Store) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        engine.submit(fail).result(60)
    assert engine.submit(lambda _: "fine").result(60) == "fine"


def test_a_pause_flushes_what_was_written(engine: Engine, store: RecordingStore) -> None:
    def write(_: Store) -> None:
        store.dirty = True

    engine.submit(write).result(60)
    assert store.flushed.acquire(timeout=60)


def test_what_is_due_is_flushed_without_a_pause(store: RecordingStore) -> None:
    engine = Engine(store, queue_size=2, idle_seconds=3600)

    def write(_: Store) -> None:
        store.dirty = store.due = True

    engine.submit(write).result(60)
    assert store.flushed.acquire(timeout=60)
    engine.close()


class FullDisk(RecordingStore):
    """Has something to flush for ever, and can't."""

    def flush(self) -> None:
        self.flushed.release()
        raise OSError("no space left on device")


@pytest.mark.parametrize("how", ["dirty", "due"])
def test_a_flush_that_fails_keeps_no_work_waiting_and_is_tried_again_after_a_pause(
    how: str,
) -> None:
    full = FullDisk()
    engine = Engine(full, queue_size=2, idle_seconds=0.01, pause_seconds=1.0)

    def write(_: Store) -> None:
        full.dirty = True
        full.due = how == "due"

    engine.submit(write).result(60)
    assert full.flushed.acquire(timeout=60)
    failed_at = time.monotonic()
    for _ in range(20):
        assert engine.submit(lambda _: "fine").result(60) == "fine"
        time.sleep(0.02)
    tries = 0
    while full.flushed.acquire(blocking=False):
        tries += 1
    assert tries <= (time.monotonic() - failed_at) / 1.0
    full.due = False
    assert full.flushed.acquire(timeout=60), "an idle engine tries again"
    engine.close()


def test_without_room_on_the_disk_nothing_is_flushed(store: RecordingStore) -> None:
    room: list[bool] = []
    engine = Engine(
        store, queue_size=2, idle_seconds=0.01, has_room=lambda: bool(room), pause_seconds=0.1
    )

    def write(_: Store) -> None:
        store.dirty = True

    engine.submit(write).result(60)
    assert not store.flushed.acquire(timeout=0.5)
    room.append(True)
    assert store.flushed.acquire(timeout=60)
    engine.close()
