"""Accepts changes: they go into the ledger first, then the bell rings."""

from collections.abc import Sequence
from typing import Final

import structlog
from flask import Request, g

from api.access.rates import WRITE, RateLimiter
from api.requests.idempotency import idempotency
from api.requests.parameters import NoParameters, Parameters
from shared.breaker import Breaker
from shared.doorbell import Doorbell, DoorbellFailed
from shared.ledger import Idempotency, Ledger
from shared.metrics import DOORBELL_FAILURES
from shared.models.change import Change, Lane
from shared.models.job import Retried

_BELL_PAUSE_SECONDS: Final = 5.0
"""While the broker is gone, one write in this time tries it. The sweeper rings for the others."""


class Intake:
    """Accepts the changes of one request as one job."""

    def __init__(self, ledger: Ledger, doorbell: Doorbell, rates: RateLimiter) -> None:
        self._ledger = ledger
        self._rates = rates
        self._doorbell = doorbell
        self._breaker = Breaker(_BELL_PAUSE_SECONDS)

    def accept(
        self,
        request: Request,
        parameters: Parameters,
        lane: Lane,
        changes: Sequence[Change],
        body: bytes,
    ) -> str:
        """The job's id, once the ledger holds all changes.

        Raises `LedgerUnavailable`, `LedgerFull`, `IdempotencyConflict` and `ProductNotFound`, a 422
        problem for an unusable Idempotency-Key, and a 429 problem if the caller's limit is used up.
        """
        key = idempotency(request, parameters, body)
        is_new = self._check_limits(key, len(changes))
        accepted = self._ledger.accept(
            g.tenant, lane, changes, request_id=g.request_id, idempotency=key
        )
        if is_new:
            self._count(key, len(changes))
        if accepted.wakes:
            self._ring(accepted.wakes)
        return accepted.job_id

    def retried_before(self, request: Request) -> Retried | None:
        """The answer that this retry got before, if it is a repeat, which is not counted again.

        Raises a 422 problem for an unusable Idempotency-Key, `IdempotencyConflict`, and
        `LedgerUnavailable`.
        """
        key = idempotency(request, NoParameters(), b"")
        return self._ledger.retried_before(g.tenant, key) if key else None

    def retry(self, request: Request, failed_job: str, products: Sequence[str]) -> Retried:
        """The new job of these failed products, once the ledger holds it.

        Raises `NothingToRetry` and what `accept` raises.
        """
        key = idempotency(request, NoParameters(), b"")
        is_new = self._check_limits(key, max(1, len(products)))
        retried = self._ledger.retry(
            g.tenant, failed_job, products, request_id=g.request_id, idempotency=key
        )
        if is_new:
            self._count(key, retried.accepted)
        for lane in retried.lanes:
            self._ring(lane)
        return retried

    def _check_limits(self, key: Idempotency | None, cost: int) -> bool:
        """Whether the request counts once it is accepted. A repeat doesn't: it is known by its key,
        and gets its job however little is left. Raises a 429 problem if too little is left."""
        if key and self._rates.was_accepted(WRITE, g.caller, key.key):
            return False
        self._rates.check(WRITE, g.caller, cost)
        return True

    def _count(self, key: Idempotency | None, cost: int) -> None:
        self._rates.count(WRITE, g.caller, cost)
        if key:
            self._rates.note_accepted(WRITE, g.caller, key.key)

    def _ring(self, lane: Lane) -> None:
        """Rings if the broker answers. The promise stands in the ledger either way."""
        if self._breaker.is_open:
            DOORBELL_FAILURES.inc()
            return
        try:
            self._doorbell.ring(lane)
        except DoorbellFailed as err:
            self._breaker.trip()
            DOORBELL_FAILURES.inc()
            structlog.get_logger("api").warning("doorbell_failed", lane=lane, error=err.message)
