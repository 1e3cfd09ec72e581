"""Each tenant's generations: numbers that are others whenever its index has changed."""

import time
from collections.abc import Mapping
from typing import Final, cast

import redis

from shared.breaker import Breaker
from shared.errors import LedgerUnavailable
from shared.ledger.connection import PREFIX, translated
from shared.models.change import Aspect

GENERATION_TIMEOUT_SECONDS: Final = 0.5
"""For the client's sockets: searches go on uncached rather than wait for a frozen ledger."""

Generation = Mapping[Aspect, str]


class Generations:
    """Read before every search; answers cached under an older generation are never found again.

    One counter per aspect: what depends on no price outlives price changes.
    """

    def __init__(self, client: redis.Redis, *, max_staleness: float = 0.0) -> None:
        """`max_staleness`: seconds for which a generation read here may be used again."""
        self._redis = client
        self._max_staleness = max_staleness
        self._held: dict[str, tuple[float, Generation]] = {}
        self._breaker = Breaker(1.0)

    def current(self, tenant: str) -> Generation | None:
        """The tenant's generation; None while the ledger doesn't answer, or doesn't know it: then
        answers may have been cached before it forgot.
        """
        if self._max_staleness:
            read_at, generation = self._held.get(tenant, (float("-inf"), {}))
            if time.monotonic() - read_at <= self._max_staleness:
                return generation
        if self._breaker.is_open:
            return None
        # The moment before the read: what changes meanwhile must not count as seen.
        read_at = time.monotonic()
        try:
            with translated():
                held = cast("dict[str, str]", self._redis.hgetall(f"{PREFIX}generation:{tenant}"))
        except LedgerUnavailable:
            self._breaker.trip()
            return None
        if not held:
            return None
        generation = {aspect: held.get(aspect, "0") for aspect in Aspect}
        if self._max_staleness:
            self._held[tenant] = (read_at, generation)
        return generation
