"""Rate limits: how much one caller may ask for in a time.

Counted in the cache's Redis, which all API processes share and which may forget: what is lost with
it is a count of at most one window. While it is gone each process counts for itself.
"""

import math
import time
from typing import Final

import structlog
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from api.problems import Problem
from shared.breaker import Breaker
from shared.metrics import RATE_LIMITED

_TIMEOUT_SECONDS: Final = 0.25
"""As of the cache itself: a healthy answer takes some tenths of a millisecond."""

_PAUSE_SECONDS: Final = 2.0
"""While Redis is gone, one request in this time pays for finding out."""

SEARCH: Final = "search"
WRITE: Final = "write"


class RateLimiter:
    """Counts by caller and kind, in fixed windows: one command to Redis, one counter a caller."""

    def __init__(self, redis_url: str, limits: dict[str, str]) -> None:
        """`limits` by kind, as `600/minute;10000/hour`; an empty one limits nothing.

        Raises ValueError for what is none.
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

    def spend(self, kind: str, caller: str, cost: int = 1) -> None:
        """Counts `cost` against the caller's limits. Raises a 429 problem where one is used up.

        What alone is more than a limit allows is let through in an untouched window: else it could
        never be sent.
        """
        for limit in self._limits.get(kind, ()):
            if not self._count(limit, kind, caller, min(cost, limit.amount)):
                raise self._refusal(limit, kind, caller)

    def check(self, kind: str, caller: str) -> None:
        """Raises as `spend` would, and counts nothing."""
        for limit in self._limits.get(kind, ()):
            if not self._count(limit, kind, caller, 0):
                raise self._refusal(limit, kind, caller)

    def _count(self, limit: RateLimitItem, kind: str, caller: str, cost: int) -> bool:
        """Whether `cost` is within the limit, counting it; with 0, whether anything is left."""
        if not self._breaker.is_open:
            try:
                return _within(self._shared, limit, kind, caller, cost)
            except StorageError as err:
                self._breaker.trip()
                structlog.get_logger("api.rates").warning("rates_counted_here", error=str(err))
        return _within(self._local, limit, kind, caller, cost)

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


def _within(
    rates: FixedWindowRateLimiter, limit: RateLimitItem, kind: str, caller: str, cost: int
) -> bool:
    if cost:
        return rates.hit(limit, kind, caller, cost=cost)
    return rates.test(limit, kind, caller)
