"""Waiting: bounded places, and checks that a frozen part can't pile up."""

import threading
import time
from contextlib import ExitStack

import pytest

from api.access.slots import Slots, slot_counts
from api.resources.readiness import Check, Readiness
from shared.errors import QdrantUnavailable


def test_a_place_is_free_again_once_left() -> None:
    room = Slots(2)
    with room.slot() as first, room.slot() as second, room.slot() as third:
        assert (first, second, third) == (True, True, False)
    with room.slot() as again:
        assert again


def test_a_place_is_left_by_an_error_too() -> None:
    room = Slots(1)
    with pytest.raises(ZeroDivisionError), room.slot():
        raise ZeroDivisionError
    with room.slot() as again:
        assert again


def test_rooms_within_a_room_share_its_places() -> None:
    held = Slots(2)
    waiting, pictures = Slots(2, held), Slots(2, held)
    with ExitStack() as inside:
        rooms = (waiting, pictures, waiting, pictures)
        taken = [inside.enter_context(room.slot()) for room in rooms]
    assert taken == [True, True, False, False]
    # What was refused by the shared room has left its own.
    with waiting.slot() as first, waiting.slot() as second:
        assert first
        assert second


@pytest.mark.parametrize("threads", [4, 5, 6, 7, 8, 16, 64, 256])
def test_what_holds_threads_for_long_always_leaves_one(threads: int) -> None:
    counts = slot_counts(threads)
    assert min(counts.waiting, counts.together) >= 1
    assert counts.waiting <= threads / 2
    assert counts.waiting < counts.together
    assert counts.together < threads


def _fail() -> None:
    raise QdrantUnavailable("gone")


def _break() -> None:
    raise ZeroDivisionError


def test_each_part_says_what_is_wrong_with_it() -> None:
    checks = [
        Check("good", lambda: None, timeout_seconds=1),
        Check("gone", _fail, timeout_seconds=1),
        Check("broken", _break, timeout_seconds=1),
    ]
    assert Readiness(checks).results() == {
        "good": "ok",
        "gone": "qdrant_unavailable",
        "broken": "internal_error",
    }


def test_a_frozen_part_costs_its_time_once_and_one_thread() -> None:
    thaw, calls = threading.Event(), []

    def freeze() -> None:
        calls.append(1)
        thaw.wait(60)

    readiness = Readiness(
        [Check(name, freeze, timeout_seconds=0.1) for name in ("one", "other", "third")]
    )
    started = time.perf_counter()
    for _ in range(3):
        assert set(readiness.results().values()) == {"timeout"}
    assert time.perf_counter() - started < 30
    assert len(calls) == 3
    thaw.set()
    time.sleep(0.05)
    assert set(readiness.results().values()) == {"ok"}


def test_a_success_is_kept_a_failure_is_not() -> None:
    calls = []

    def second_time_lucky() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise QdrantUnavailable("gone")

    readiness = Readiness([Check("part", second_time_lucky, timeout_seconds=1, keep_seconds=60)])
    assert [readiness.results()["part"] for _ in range(4)] == ["qdrant_unavailable"] + ["ok"] * 3
    assert len(calls) == 2
