"""What `/readyz` and `/metrics` tell of the index, asked at most every few seconds."""

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
        """`ask` raises where the index can't be asked."""
        self._ask = ask
        self._lock = threading.Lock()
        self._kept: IndexFacts | None = None
        self._ask_after = float("-inf")

    def facts(self) -> IndexFacts | None:
        """None where Qdrant can't be asked. Others are answered by what was known meanwhile."""
        if time.monotonic() >= self._ask_after and self._lock.acquire(blocking=False):
            try:
                self._kept = self._ask()
            except VitrineError:
                self._kept = None  # its own check in `/readyz` says so
            finally:
                self._ask_after = time.monotonic() + _KEEP_SECONDS
                self._lock.release()
        return self._kept
