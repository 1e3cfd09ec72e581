"""Answers doorbells: when to claim, from which lane, and when to call others to join."""

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from shared.breaker import Breaker
from shared.doorbell import Doorbell
from shared.errors import EncoderBusy, QdrantRejected, QdrantUnavailable, TransientError
from shared.ledger import Ledger
from shared.metrics import LANE_PAUSES
from shared.models.change import Claim, Lane
from shared.qdrant.service import QdrantService
from shared.watchdog import Watchdog
from worker.bulk_slots import BulkSlots
from worker.upkeep.leases import LeaseKeeper

log = structlog.get_logger(__name__)

CLAIM_LIMIT: Final = 64
"""Products per claim: a few batches of the encoder, one write of about 20 ms in Qdrant."""

PAUSE_SECONDS: Final = 3.0
"""How long a worker leaves its lanes alone after Qdrant or the encoder failed it."""


def ring(doorbell: Doorbell, lane: Lane) -> None:
    """Calls threads and workers to the lane. If the broker takes no message, sweepers will ring."""
    try:
        doorbell.ring(lane)
    except TransientError as err:
        log.warning("doorbell_failed", error=err.message)


class Bells:
    """One per worker process; doorbells are answered in many threads at once."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        doorbell: Doorbell,
        qdrant: QdrantService,
        leases: LeaseKeeper,
        work: Callable[[Claim, Lane], None],
        lanes: Sequence[Lane],
        bulk_tasks: int = 4,
        attribute_indexes: Sequence[str] = (),
        watchdog: Watchdog | None = None,
    ) -> None:
        """`work` works off one claim; it may raise what `serve` raises, and `QdrantUnavailable`
        and `EncoderBusy`, after which the worker pauses. `watchdog`: the process's own.

        `bulk_tasks` work on bulk at once, at most: as long as more threads than these answer, one
        is free for what overtakes it.
        """
        self._ledger = ledger
        self._doorbell = doorbell
        self._qdrant = qdrant
        self._leases = leases
        self._do = work
        self._lanes = lanes
        self._bulk_slots = BulkSlots(bulk_tasks)
        self._attribute_indexes = attribute_indexes
        self._watchdog = watchdog or Watchdog()
        self._pause = Breaker(PAUSE_SECONDS)
        self._index_in_doubt = False
        self._closed = False

    def serve_all(self) -> None:
        """Serves one doorbell: goes on until nothing is due that this worker has a slot for.

        It calls other threads once: a message for each claim took a twentieth to a tenth of all
        processor time if nothing is embedded. Raises as `serve` does.
        """
        calling = True
        while self.serve(calling=calling):
            calling = False

    def serve(self, *, calling: bool = True) -> bool:
        """Of each lane in turn, works off up to `CLAIM_LIMIT` due products.

        `calling`: whether it rings for others to join if more are due. Returns whether others are
        due that this worker has a slot for. While the worker pauses or stops, it claims nothing:
        all that waits stays in the ledger, and the sweepers ring. Raises `LedgerUnavailable`; the
        leases of what was claimed then run out, and the work is found done.
        """
        more = False
        for lane in self._lanes:
            # A claim of each, because a lane must not wait for one that it overtakes.
            if lane is Lane.BULK:
                more |= self._serve_bulk(calling=calling)
            else:
                more |= self._serve_lane(lane, calling=calling)
        return more

    def close(self) -> None:
        """Claims no more products; the work on claimed ones is finished."""
        self._closed = True

    def _serve_bulk(self, *, calling: bool) -> bool:
        """Serves bulk if a slot is free.

        A bell that found none is answered by the task that frees one: it goes on itself, or passes
        the bell on. If it means to go on and can't any more, sweepers ring within a second.
        """
        if not self._bulk_slots.take():
            return False
        more = False
        try:
            more = self._serve_lane(Lane.BULK, calling=calling)
        finally:
            if self._bulk_slots.give_back() and not more:
                ring(self._doorbell, Lane.BULK)
        return more

    def _serve_lane(self, lane: Lane, *, calling: bool) -> bool:
        """Works off one claim of the lane; returns whether others are due in it."""
        if self._closed or self._pause.is_open or not self._index_is_there():
            return False
        claim = self._ledger.claim([lane], CLAIM_LIMIT)
        with self._leases.held(claim), self._watchdog.work():
            if claim.more and calling:
                # So one ring makes all threads busy, each of which calls the next.
                ring(self._doorbell, lane)
            if claim.wanted:
                self._work(claim, lane)
        return claim.more

    def _work(self, claim: Claim, lane: Lane) -> None:
        try:
            self._do(claim, lane)
        except (QdrantUnavailable, EncoderBusy) as err:
            self._pause.trip()
            self._index_in_doubt = isinstance(err, QdrantUnavailable)
            LANE_PAUSES.labels(err.code).inc()
            log.warning("lane_paused", code=err.code, error=err.message)

    def _index_is_there(self) -> bool:
        """After an outage, makes sure of the collection first: a Qdrant that lost it heals."""
        if self._index_in_doubt:
            try:
                self._qdrant.ensure_collection(self._attribute_indexes)
            except (QdrantUnavailable, QdrantRejected) as err:
                self._pause.trip()
                log.warning("index_not_there", code=err.code, error=err.message)
                return False
            self._index_in_doubt = False
        return True
