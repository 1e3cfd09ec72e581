"""A pause after a failure, so that a dead server costs one caller its timeout and not all."""

import time


class Breaker:
    """Open (calls are skipped) for some seconds after each failure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls should be skipped now."""
        return time.monotonic() < self._open_until

    def trip(self) -> None:
        """Notes a failure."""
        self._open_until = time.monotonic() + self._seconds
