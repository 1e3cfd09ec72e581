"""A line for work that goes on beside other work, or alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TogetherOrAlone:
    """Blocks that run beside each other, and blocks that run while no other does.

    All are let in in the order in which they came, so neither kind waits for ever. A block may not
    hold another one: it would wait for itself.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._came = 0
        self._let_in = 0
        self._together = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """The block runs beside others of its kind."""
        with self._changed:
            self._wait_in_line()
            self._together += 1
            self._let_next_in()
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The block runs beside no other."""
        with self._changed:
            self._wait_in_line()
            self._changed.wait_for(lambda: not self._together)
        try:
            yield
        finally:
            with self._changed:
                self._let_next_in()

    def _wait_in_line(self) -> None:
        place = self._came
        self._came += 1
        self._changed.wait_for(lambda: self._let_in == place)

    def _let_next_in(self) -> None:
        self._let_in += 1
        self._changed.notify_all()
