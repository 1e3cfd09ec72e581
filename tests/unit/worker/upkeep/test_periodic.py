"""The rules of every thread that works beside the tasks."""

import threading

from shared.errors import LedgerUnavailable
from worker.upkeep.periodic import Periodic


class _Turns(Periodic):
    """Raises what is listed, one at a turn; the turn after the last is the last."""

    def __init__(self, *faults: Exception) -> None:
        super().__init__("turns", 0.01, "turn_failed")
        self._faults = list(faults)
        self.ended = threading.Event()

    def turn(self) -> bool:
        if self._faults:
            raise self._faults.pop(0)
        self.ended.set()
        return True


def test_a_thread_outlives_every_fault_of_its_turns() -> None:
    thread = _Turns(LedgerUnavailable("gone"), RuntimeError("a fault of ours"))
    thread.start()
    assert thread.ended.wait(60)
    thread.stop()
    assert all(running.name != "turns" for running in threading.enumerate())


class _Endless(Periodic):
    """Has a turn once an hour."""

    def turn(self) -> bool:
        return False


def test_a_thread_that_waits_for_its_turn_stops_at_once() -> None:
    thread = _Endless("endless", 3600, "turn_failed")
    thread.start()
    thread.stop()
    assert all(running.name != "endless" for running in threading.enumerate())
