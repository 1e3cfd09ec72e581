"""Slots for requests that hold a thread for long: each kind has its own, and one thread stays free.

Three kinds do: requests that wait for jobs, large batches that wait for their turn, and searches by
picture. If each were bounded by itself alone, all of them together could hold every thread.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlotCounts:
    """Threads that waiting requests may hold, and threads that all kinds together may hold."""

    waiting: int
    together: int


def slot_counts(threads: int) -> SlotCounts:
    """The counts for so many threads, at least four: one is always left for ordinary requests."""
    # A third is left to bodies that come in slowly, should no proxy stand in front, and one thread
    # to ordinary requests.
    together = threads - max(1, threads // 3) - 1
    # One slot is out of the reach of requests that only wait.
    return SlotCounts(min(threads // 2, together - 1), together)


class Slots:
    """A bounded number of slots for requests that hold a thread."""

    def __init__(self, count: int, within: "Slots | None" = None) -> None:
        """`within`: slots shared with other kinds, of which each of these takes one, too."""
        self._free = threading.BoundedSemaphore(count)
        self._within = within

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """A slot while inside, or False at once if all are taken."""
        with ExitStack() as stack:
            taken = self._free.acquire(blocking=False)
            if taken:
                stack.callback(self._free.release)
                if self._within is not None:
                    taken = stack.enter_context(self._within.slot())
            yield taken
