"""Who is turned away is told of by whoever frees a slot, however the two meet."""

import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType
from typing import Any

from worker.bulk_slots import BulkSlots

LINES = 5
"""Of `take`, at least: at each of them the other thread comes between."""


def test_no_more_are_taken_than_there_are_and_a_refusal_is_told_once() -> None:
    slots = BulkSlots(2)
    assert [slots.take() for _ in range(4)] == [True, True, False, False]
    assert [slots.give_back(), slots.give_back()] == [True, False]
    assert slots.take()


def test_who_finds_no_slot_while_one_is_given_back_is_not_forgotten() -> None:
    for line in range(LINES):
        slots = BulkSlots(1)
        assert slots.take()
        with ThreadPoolExecutor(1) as other:
            taken, given = _take_with(slots, line, other)
            assert given.result(60) == (not taken)


def _take_with(
    slots: BulkSlots, line: int, other: ThreadPoolExecutor
) -> tuple[bool, "Future[bool]"]:
    """Takes a slot, standing still before one of its lines while the other gives one back."""
    given: list[Future[bool]] = []
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if frame.f_code is not BulkSlots.take.__code__:
            return None
        if event == "line":
            if lines == line:
                given.append(other.submit(slots.give_back))
                wait(given, timeout=0.1)  # it may have to wait for this thread
            lines += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        taken = slots.take()
    finally:
        sys.settrace(before)
    return taken, given[0] if given else other.submit(slots.give_back)
