"""Who is turned away is told of by whoever frees a place, however the two meet."""

import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType
from typing import Any

from worker.bulk_places import BulkPlaces

LINES = 5
"""Of `take`, at least: at each of them the other thread comes between."""


def test_no_more_are_taken_than_there_are_and_a_refusal_is_told_once() -> None:
    places = BulkPlaces(2)
    assert [places.take() for _ in range(4)] == [True, True, False, False]
    assert [places.give_back(), places.give_back()] == [True, False]
    assert places.take()


def test_who_finds_no_place_while_one_is_given_back_is_not_forgotten() -> None:
    for line in range(LINES):
        places = BulkPlaces(1)
        assert places.take()
        with ThreadPoolExecutor(1) as other:
            taken, given = _take_with(places, line, other)
            assert given.result(5) == (not taken)


def _take_with(
    places: BulkPlaces, line: int, other: ThreadPoolExecutor
) -> tuple[bool, "Future[bool]"]:
    """Takes a place, standing still before one of its lines while the other gives one back."""
    given: list[Future[bool]] = []
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if frame.f_code is not BulkPlaces.take.__code__:
            return None
        if event == "line":
            if lines == line:
                given.append(other.submit(places.give_back))
                wait(given, timeout=0.1)  # it may have to wait for this thread
            lines += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        taken = places.take()
    finally:
        sys.settrace(before)
    return taken, given[0] if given else other.submit(places.give_back)
