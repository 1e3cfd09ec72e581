"""Places for what holds a thread for long: each kind has its own, and together they leave a thread.

Three kinds do: those who wait for jobs, large batches that wait for their turn, and searches by
picture. Were each bounded by itself alone, all of them together could hold every thread.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shares:
    """How many threads each kind may hold; `held` is for all together."""

    waiting: int
    held: int


def shares(threads: int) -> Shares:
    """The shares of so many threads, at least four: one is always left for ordinary requests."""
    # A third is left to bodies that come in slowly, should no proxy stand in front, and one thread
    # to ordinary requests.
    held = threads - max(1, threads // 3) - 1
    # One place is out of the reach of those who only wait.
    return Shares(min(threads // 2, held - 1), held)


class WaitingRoom:
    """A bounded number of places for requests that hold a thread."""

    def __init__(self, places: int, within: "WaitingRoom | None" = None) -> None:
        """`within`: a room shared with others, in which each place takes a place, too."""
        self._places = threading.BoundedSemaphore(places)
        self._within = within

    @contextmanager
    def place(self) -> Iterator[bool]:
        """A place while inside, or False at once where all are taken."""
        with ExitStack() as held:
            taken = self._places.acquire(blocking=False)
            if taken:
                held.callback(self._places.release)
                if self._within is not None:
                    taken = held.enter_context(self._within.place())
            yield taken
