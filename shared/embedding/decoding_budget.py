"""A bound on the memory of all pictures that are decoded at one time.

Each picture is bounded by its pixels, but a process decodes many at once: sixteen of the largest
together would take 8 GB.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LARGE_BYTES: Final = 50_000_000


class DecodingBudget:
    """Bytes that may be in use at one time. Who doesn't fit waits, in order of arrival."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def account(self) -> Iterator[Callable[[int], None]]:
        """What takes bytes when called, once, and gives them back at the end.

        It waits for them: decoding takes seconds at most, and those ahead end in any case. More
        than there are in all count as all.
        """
        taken = 0

        def take(wanted: int) -> None:
            nonlocal taken
            taken = self._take(min(wanted, self.total))

        try:
            yield take
        finally:
            if taken >= _LARGE_BYTES:
                _return_freed_memory()
            with self._changed:
                self._free += taken
                self._changed.notify_all()

    def _take(self, wanted: int) -> int:
        turn = object()
        with self._changed:
            # In order, or many small pictures would keep a large one waiting for ever.
            self._queue.append(turn)
            self._changed.wait_for(lambda: self._queue[0] is turn and wanted <= self._free)
            self._queue.popleft()
            self._free -= wanted
            self._changed.notify_all()
        return wanted


def _return_freed_memory() -> None:
    """Has glibc give back to the system what is free.

    It keeps some for each thread. Without this sixteen threads, one after the other, kept 2 GB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
