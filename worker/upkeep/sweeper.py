"""Rings for work that no doorbell announces, and removes tombstones of long ago."""

import time
from collections.abc import Callable, Collection
from typing import Final

import structlog

from shared.doorbell import Doorbell, DoorbellFailed
from shared.ledger import Ledger
from shared.models.change import Lane
from shared.qdrant.service import QdrantService
from worker.upkeep.ledger_watch import CHECK_SECONDS
from worker.upkeep.periodic import Periodic

log = structlog.get_logger(__name__)

SWEEP_SECONDS: Final = 1.0
_PURGE_SECONDS: Final = 3600
_DAY_US: Final = 86_400 * 1_000_000


class Sweeper(Periodic):
    """A thread of every worker.

    Sweeping twice rings twice; a needless ring costs one claim that finds nothing.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        doorbell: Doorbell,
        serve: Callable[[], bool],
        qdrant: QdrantService,
        lanes: Collection[Lane],
        tombstone_days: float,
        watch: Callable[[], object],
    ) -> None:
        """`serve` works off one claim of each lane and tells whether more is due. It calls nobody:
        it is for a broker that takes no message. `watch` looks whether the ledger was lost.
        """
        super().__init__("sweeper", SWEEP_SECONDS, "sweep_failed")
        self._ledger = ledger
        self._doorbell = doorbell
        self._serve = serve
        self._qdrant = qdrant
        self._lanes = lanes
        self._tombstone_us = int(tombstone_days * _DAY_US)
        self._watch = watch
        self._purge_at = time.monotonic()
        self._watch_at = self._purge_at + CHECK_SECONDS

    def turn(self) -> bool:
        """Sweeps, and looks for lost rows and old tombstones once it is time."""
        if time.monotonic() >= self._watch_at:
            self._watch_at = time.monotonic() + CHECK_SECONDS
            self._watch()
        self.sweep()
        if time.monotonic() >= self._purge_at:
            self._purge_at += _PURGE_SECONDS
            self.purge_in_turn()
        return False

    def sweep(self) -> None:
        """Rings for each lane where products are due (retries, lost messages, ended leases).

        If the broker takes no message, as when its memory is used up, the sweeper works the
        lanes off itself: a full ledger must drain.
        """
        due = [
            backlog.lane
            for backlog in self._ledger.backlog()
            if backlog.due and backlog.lane in self._lanes
        ]
        try:
            for lane in due:
                if not self._doorbell.waiting(lane):
                    self._doorbell.ring(lane)
        except DoorbellFailed as err:
            log.warning("working_without_the_broker", error=err.message)
            while self._serve() and not self._stopped.is_set():
                pass

    def purge_in_turn(self) -> None:
        """Purges unless another worker has done so within the hour. One that fails, or dies of it,
        is followed by the next turn.
        """
        # A little less than the time between two rounds, or every second turn would be missed.
        if self._ledger.take_purging_turn(self._qdrant.collection, _PURGE_SECONDS - 60):
            self.purge()

    def purge(self) -> None:
        """Removes the tombstones and rows of products deleted longer ago than configured."""
        before = int(time.time() * 1e6) - self._tombstone_us
        self._qdrant.purge_tombstones(before)
        while self._ledger.purge_deleted(before):
            pass
