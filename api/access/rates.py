"""Rate limits: how much one caller may ask for in a time.

Counted in the cache's Redis, which all API processes share. If it loses the counts, at most one
window is lost. While it is gone, each process counts for itself.
"""

import math
import time
from collections.abc import Callable
from typing import Final

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from api.responses.problems import Problem
from shared.breaker import Breaker
from shared.metrics import RATE_LIMITED

_TIMEOUT_SECONDS: Final = 0.25
"""The same as the cache's: a healthy answer takes some tenths of a millisecond."""

_PAUSE_SECONDS: Final = 2.0
"""While Redis is gone, one request in this time tries it."""

SEARCH: Final = "search"
WRITE: Final = "write"


class RateLimiter:
    """Counts by caller and kind, in fixed windows: one counter in Redis for each limit."""

    def __init__(self, redis_url: str, limits: dict[str, str]) -> None:
        """`limits` by kind, as `600/minute;10000/hour`; an empty one limits nothing.

        Raises ValueError for a text of another form.
        """
        self._limits: dict[str, list[RateLimitItem]] = {
            kind: parse_many(text) for kind, text in limits.items() if text
        }
        self._shared = FixedWindowRateLimiter(
            RedisStorage(
                redis_url,
                key_prefix="rates",
                wrap_exceptions=True,
                socket_timeout=_TIMEOUT_SECONDS,
                socket_connect_timeout=_TIMEOUT_SECONDS,
            )
        )
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._breaker = Breaker(_PAUSE_SECONDS)

    def spend(self, kind: str, caller: str) -> None:
        """Counts one call against the caller's limits. Raises a 429 problem if one is used up.

        A refused call counts against no other limit.
        """
        limits = self._limits.get(kind, ())
        if len(limits) > 1:  # a lone one is counted beyond its end without harm
            self.check(kind, caller)
        for limit in limits:
            if not self._count(limit, 1, kind, caller):
                raise self._refusal(limit, kind, caller)

    def check(self, kind: str, caller: str, cost: int = 1) -> None:
        """Raises a 429 problem if less than `cost` is left of a limit, and counts nothing.

        A request that alone costs more than a limit is let through in an untouched window: else it
        could never be sent.
        """
        for limit in self._limits.get(kind, ()):
            if not self._is_left(limit, min(cost, limit.amount), kind, caller):
                raise self._refusal(limit, kind, caller)

    def count(self, kind: str, caller: str, cost: int) -> None:
        """Counts a request that was checked, and has been done since.

        Calls that are checked at one moment may exceed a limit together.
        """
        for limit in self._limits.get(kind, ()):
            self._count(limit, min(cost, limit.amount), kind, caller)

    def note_accepted(self, kind: str, caller: str, key: str) -> None:
        """Remembers, for the longest window, that the request of this key has been counted."""
        if notes := self._notes(kind):
            self._count(notes, 1, kind, caller, key)

    def was_accepted(self, kind: str, caller: str, key: str) -> bool:
        """Whether this key was already counted as accepted. Redis may lose it with the counts."""
        notes = self._notes(kind)
        return notes is not None and not self._is_left(notes, 1, kind, caller, key)

    def _notes(self, kind: str) -> RateLimitItem | None:
        """A limit of one call for each key, so that notes are kept as counts are."""
        windows = [limit.get_expiry() for limit in self._limits.get(kind, ())]
        return RateLimitItemPerSecond(1, max(windows), namespace="ACCEPTED") if windows else None

    def _is_left(self, limit: RateLimitItem, cost: int, *names: str) -> bool:
        return self._ask(lambda rates: rates.test(limit, *names, cost=cost))

    def _count(self, limit: RateLimitItem, cost: int, *names: str) -> bool:
        """Counts, and tells whether that was within the limit."""
        return self._ask(lambda rates: rates.hit(limit, *names, cost=cost))

    def _ask(self, question: Callable[[FixedWindowRateLimiter], bool]) -> bool:
        if not self._breaker.is_open:
            try:
                return question(self._shared)
            except StorageError as err:
                self._breaker.trip()
                structlog.get_logger("api.access.rates").warning(
                    "rates_counted_here", error=str(err)
                )
        return question(self._local)

    def _refusal(self, limit: RateLimitItem, kind: str, caller: str) -> Problem:
        RATE_LIMITED.labels(kind).inc()
        rates = self._local if self._breaker.is_open else self._shared
        try:
            end = rates.get_window_stats(limit, kind, caller).reset_time
        except StorageError:
            end = time.time() + limit.get_expiry()
        wait = max(1, math.ceil(end - time.time()))
        return Problem(
            429,
            "too_many_requests",
            f"the limit of {limit} is used up; try again in {wait} s",
            headers={"Retry-After": str(wait)},
        )
