"""Waiting for jobs: at most a part of the threads may, so that others are always answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class WaitingRoom:
    """A bounded number of places for requests that wait."""

    def __init__(self, places: int) -> None:
        self._places = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[bool]:
        """A place while inside, or False at once where all are taken."""
        taken = self._places.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._places.release()
