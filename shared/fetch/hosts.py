"""Picture servers in trouble: they are left alone for a while.

A server that swallows packets holds each of its requests for the whole timeout, so after some in a
row its pictures end at once. A server that asks for patience (`Retry-After`) gets it.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.errors import ItemCode, ItemTransient
from shared.fetch.faults import AnswerFault

FAILURES_IN_A_ROW: Final = 5
"""A server that is merely slow answers in between."""

PAUSE_SECONDS: Final = 30.0
"""The longest pause that one answer can cause for a host, which several shops may share."""

_PRUNED_FROM: Final = 1_000
_UNANSWERED: Final = frozenset({ItemCode.IMAGE_TIMEOUT, ItemCode.IMAGE_UNREACHABLE})


class PicturePutOff(ItemTransient):
    """The picture was not asked for, or not kept, for a reason that lies neither in it nor in its
    product: its server asked for patience before, or our own disk is full.

    It counts as no attempt. `retry_after` is the number of seconds until the next try.
    """


@dataclass(slots=True)
class _Trouble:
    """A server's failures since its last good answer."""

    failures: int = 0
    until: float = 0.0  # monotonic seconds
    fault: ItemTransient | None = None


class Hosts:
    """Servers by host and port; safe to use from many threads."""

    def __init__(
        self, pause_seconds: float = PAUSE_SECONDS, chance: Callable[[], float] = random.random
    ) -> None:
        self._pause = pause_seconds
        self._chance = chance
        self._troubled: dict[str, _Trouble] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def visit(self, authority: str) -> Iterator[None]:
        """Around one request; learns from how it ends.

        Raises the last fault of a server that failed too often in a row, and `PicturePutOff` for
        one that asked for patience. After a pause one request is let through; its end decides.
        """
        self._admit(authority)
        try:
            yield
        except ItemTransient as fault:
            self._note(authority, fault)
            raise
        except Exception:
            self._answered(authority)
            raise
        else:
            self._answered(authority)

    def _admit(self, authority: str) -> None:
        with self._lock:
            trouble = self._troubled.get(authority)
            if trouble is None or trouble.fault is None:
                return
            now, gone = time.monotonic(), trouble.failures >= FAILURES_IN_A_ROW
            if now >= trouble.until:
                if gone:
                    trouble.until = now + self._pause  # the others wait for this one
                return
            # Not all at the same moment: only one would be let through, and the others fail again.
            wait = trouble.until - now + self._pause / 3 * self._chance()
            fault = trouble.fault
        if gone:
            raise ItemTransient(ItemCode(fault.code), fault.message, wait)
        raise PicturePutOff(ItemCode(fault.code), fault.message, wait)

    def _note(self, authority: str, fault: ItemTransient) -> None:
        patience = fault.retry_after
        unanswered = fault.code in _UNANSWERED and not isinstance(fault, AnswerFault)
        if not unanswered and not patience:
            return self._answered(authority)
        with self._lock:
            self._prune()
            trouble = self._troubled.setdefault(authority, _Trouble())
            now = time.monotonic()
            if patience and now < trouble.until:
                return None  # sent before the server was put off: no further word of it
            trouble.failures += 1
            trouble.fault = fault
            if trouble.failures >= FAILURES_IN_A_ROW:
                trouble.until = now + self._pause
            elif patience:
                trouble.until = now + min(patience, self._pause)
        return None

    def _answered(self, authority: str) -> None:
        with self._lock:
            self._troubled.pop(authority, None)

    def _prune(self) -> None:
        """Forgets the pauses that are over, if names are many. The lock is held."""
        if len(self._troubled) >= _PRUNED_FROM:
            now = time.monotonic()
            self._troubled = {
                name: trouble for name, trouble in self._troubled.items() if trouble.until > now
            }
