"""Keeps the leases of running tasks from running out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from shared.errors import LedgerUnavailable
from shared.ledger import Ledger
from shared.models.change import Claim
from worker.upkeep.periodic import Periodic

log = structlog.get_logger(__name__)


class LeaseKeeper(Periodic):
    """A thread that renews all claims held by this process, three times a lease.

    The watchdog ends a process that hangs, along with its leases.
    """

    def __init__(self, ledger: Ledger, lease_seconds: float) -> None:
        super().__init__("leases", lease_seconds / 3, "lease_not_renewed")
        self._ledger = ledger
        self._held: dict[str, Claim] = {}
        self._lock = threading.Lock()

    @contextmanager
    def held(self, claim: Claim) -> Iterator[None]:
        """Renews the claim for as long as the block runs."""
        with self._lock:
            self._held[claim.token] = claim
        try:
            yield
        finally:
            with self._lock:
                del self._held[claim.token]

    def turn(self) -> bool:
        """Renews each claim. A lease that is lost meanwhile costs no more than work done twice."""
        with self._lock:
            claims = list(self._held.values())
        for claim in claims:
            try:
                self._ledger.renew(claim)
            except LedgerUnavailable as err:  # the next turn tries again
                log.warning("lease_not_renewed", error=err.message)
        return False
