"""The facts of the index for `/readyz` and `/metrics`, asked at most every few seconds."""

import threading
import time
from collections.abc import Callable
from typing import Final

from shared.errors import VitrineError
from shared.qdrant.facts import IndexFacts

_KEEP_SECONDS: Final = 10.0
"""Probes come every few seconds, each of several; a question takes Qdrant milliseconds."""


class IndexWatch:
    """The facts as they were a moment ago, for all threads."""

    def __init__(self, ask: Callable[[], IndexFacts]) -> None:
        """`ask` raises if the index can't be asked."""
        self._ask = ask
        self._lock = threading.Lock()
        self._kept: IndexFacts | None = None
        self._ask_after = float("-inf")

    def facts(self) -> IndexFacts | None:
        """The facts; None if Qdrant can't be asked. While a thread asks, others get the last."""
        if time.monotonic() >= self._ask_after and self._lock.acquire(blocking=False):
            try:
                self._kept = self._ask()
            except VitrineError:
                self._kept = None  # its own check in `/readyz` says so
            finally:
                self._ask_after = time.monotonic() + _KEEP_SECONDS
                self._lock.release()
        return self._kept
