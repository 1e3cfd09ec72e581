"""Keeps the leases of running tasks from running out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from shared.errors import LedgerUnavailable
from shared.ledger import Ledger
from shared.models.change import Claim

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """One thread that renews all claims held by this process, three times a lease.

    What hangs is ended by the watchdog, along with its leases.
    """

    def __init__(self, ledger: Ledger, lease_seconds: float) -> None:
        self._ledger = ledger
        self._interval = lease_seconds / 3
        self._held: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Starts renewing."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; claims still held run out by themselves."""
        self._stopped.set()
        self._thread.join(self._interval + 10)

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

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            with self._lock:
                claims = list(self._held.values())
            for claim in claims:
                try:
                    self._ledger.renew(claim)
                except LedgerUnavailable as err:
                    # The next round tries again; a lease lost meanwhile only costs work done twice.
                    log.warning("lease_not_renewed", error=err.message)
                except Exception:
                    # The thread must outlive any fault: without it long tasks lose their leases.
                    log.exception("lease_not_renewed")
