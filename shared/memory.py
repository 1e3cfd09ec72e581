"""A bound on the memory of all pictures that are fetched, or decoded, at one time.

Each picture is bounded by its bytes and its pixels, but a process works on many at once: sixteen of
the largest, decoded together, would take 8 GB.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from shared.errors import EncoderBusy

_LARGE_BYTES: Final = 50_000_000


class MemoryBudget:
    """Bytes that may be in use at one time, and some besides that are kept for urgent pictures.

    An urgent picture that fits into the reserve, as nearly all do, waits for nobody. Another goes
    to the head of the line. While urgent and other pictures stand in line they take turns, so
    neither kind is kept waiting for longer than one picture of the other takes.
    """

    def __init__(self, total: int, reserve: int = 0) -> None:
        """`total` bytes for all, `reserve` bytes for urgent ones alone."""
        self.total = total
        self._free = total
        self._reserve = reserve
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        self._urgent_line: deque[object] = deque()
        self._urgent_was_last = False

    @contextmanager
    def account(
        self, *, urgent: bool = False, timeout: float | None = None
    ) -> Iterator[Callable[[int], None]]:
        """A function that takes bytes when called, once, and gives them back at the end.

        It waits for them, up to `timeout` seconds, and then raises EncoderBusy. None: no limit,
        because the work ahead ends within seconds each. A call for more than `total` bytes takes
        `total`.
        """
        taken, reserved = 0, False

        def take(wanted: int) -> None:
            nonlocal taken, reserved
            wanted = min(wanted, self.total)
            reserved = self._take(wanted, urgent, timeout)
            taken = wanted

        try:
            yield take
        finally:
            if taken >= _LARGE_BYTES:
                return_freed_memory()
            with self._changed:
                if reserved:
                    self._reserve += taken
                else:
                    self._free += taken
                self._changed.notify_all()

    def _take(self, wanted: int, urgent: bool, timeout: float | None) -> bool:
        """Takes bytes; whether they are of the reserve."""
        turn = object()
        line = self._urgent_line if urgent else self._line
        with self._changed:
            line.append(turn)
            try:
                if not self._changed.wait_for(
                    lambda: (
                        (urgent and wanted <= self._reserve)
                        or (self._first() is turn and wanted <= self._free)
                    ),
                    timeout,
                ):
                    raise EncoderBusy("Too many pictures are in memory.", 1.0)
            finally:
                line.remove(turn)
                self._changed.notify_all()
            if urgent and wanted <= self._reserve:
                self._reserve -= wanted
                return True
            self._free -= wanted
            self._urgent_was_last = urgent
        return False

    def _first(self) -> object:
        """The next in the line. In order, or many small ones would keep a large one waiting."""
        if self._urgent_line and not (self._urgent_was_last and self._line):
            return self._urgent_line[0]
        return self._line[0]


def return_freed_memory() -> None:
    """Has glibc give free memory back to the system; other C libraries need no such call.

    It keeps some for each thread: sixteen threads that decoded one after the other kept 2 GB, and a
    model of which one half was dropped 150 MB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
