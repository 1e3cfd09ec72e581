"""Builds a worker's collaborators from the settings, in one place."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from celery import Celery

from shared.doorbell import Doorbell
from shared.embedding.identity import collection_name
from shared.embedding.service import EmbeddingService
from shared.errors import QdrantUnavailable
from shared.fetch.bootstrap import build_fetcher
from shared.fetch.fetcher import Fetcher
from shared.ledger import LedgerLoss, connect
from shared.ledger.bootstrap import build_ledger
from shared.models.change import Lane
from shared.qdrant.bootstrap import build_analyser, build_qdrant, build_transfer
from shared.qdrant.service import QdrantService
from shared.settings import Settings
from shared.watchdog import Watchdog
from worker.bells import Bells, ring
from worker.pictures.reader import PictureReader
from worker.reconcile.reconciler import Reconciler
from worker.reconcile.reports import RetryPolicy
from worker.upkeep.leases import LeaseKeeper
from worker.upkeep.ledger_watch import LedgerWatch
from worker.upkeep.periodic import Periodic
from worker.upkeep.sweeper import Sweeper
from worker.upkeep.upgrade import IndexUpgrade

log = structlog.get_logger(__name__)

PICTURE_LANES: Final = frozenset({Lane.SINGLE, Lane.BULK})
_QDRANT_RETRY_SECONDS: Final = 1.0


@dataclass
class Runtime:
    """The parts of a worker process beside Celery's own."""

    watchdog: Watchdog
    bells: Bells
    upkeep: Sequence[Periodic]
    used: Sequence[PictureReader | Fetcher | EmbeddingService]
    """Parts that are closed in the end."""

    def start(self) -> None:
        """Starts the background threads."""
        self.watchdog.start()
        for thread in self.upkeep:
            thread.start()

    def stop(self) -> None:
        """Ends them, once no task runs any more."""
        for thread in reversed(self.upkeep):
            thread.stop()
        for part in self.used:
            part.close()


def _ensure_collection(qdrant: QdrantService, attribute_indexes: Sequence[str]) -> None:
    """Waits for Qdrant, which may start after the worker: there is nothing to do without it."""
    while True:
        try:
            qdrant.ensure_collection(attribute_indexes)
            facts = qdrant.facts()
        except QdrantUnavailable as err:
            log.warning("waiting_for_qdrant", error=err.message)
            time.sleep(_QDRANT_RETRY_SECONDS)
        else:
            for code, reason in facts.warnings().items():
                log.warning(code, reason=reason)
            return


def build(settings: Settings, app: Celery, lanes: Sequence[Lane], threads: int) -> Runtime:
    """Loads the model only if a lane needs it. Raises `ModelUnavailable` and
    `CollectionMismatch`.

    `threads`: how many tasks the process runs at once. Half of them are kept from bulk.
    """
    watchdog = Watchdog.of(settings)
    redis = connect(settings.redis_url)
    ledger = build_ledger(redis, settings)
    collection_name(settings)  # The cheap part that can be wrong: the model takes seconds.
    encoder, fetcher, pictures = None, None, None
    if PICTURE_LANES.intersection(lanes):
        # Here and not above: torch costs a process 400 MB and seconds, and the fast lane's worker
        # needs no model.
        from shared.embedding.bootstrap import load_embedding_service  # noqa: PLC0415

        fetcher = build_fetcher(
            settings,
            timeout_seconds=settings.image_timeout_seconds,
            connections=2 * settings.image_threads,  # urgent pictures have threads of their own
        )
        encoder = load_embedding_service(settings, frozenset({"image"}), watchdog=watchdog)
        pictures = PictureReader(fetcher, encoder, settings.image_threads)
    qdrant = build_qdrant(settings, encoder.dimensions if encoder else None)
    _ensure_collection(qdrant, settings.attribute_indexes)
    watch = LedgerWatch(LedgerLoss(redis, qdrant.collection), qdrant)
    watch.check()
    doorbell = Doorbell(app)
    leases = LeaseKeeper(ledger, settings.lease_seconds)
    reconciler = Reconciler(
        ledger=ledger,
        ring=partial(ring, doorbell),
        qdrant=qdrant,
        pictures=pictures,
        retries=RetryPolicy(
            settings.item_max_attempts,
            settings.retry_base_seconds,
            settings.image_not_found_retry_seconds,
        ),
        attribute_indexes=settings.attribute_indexes,
        analyser=build_analyser(settings),
    )
    bells = Bells(
        ledger=ledger,
        doorbell=doorbell,
        qdrant=qdrant,
        leases=leases,
        work=reconciler.work_off,
        lanes=lanes,
        bulk_tasks=max(1, threads // 2),
        attribute_indexes=settings.attribute_indexes,
        watchdog=watchdog,
    )
    sweeper = Sweeper(
        ledger=ledger,
        doorbell=doorbell,
        serve=partial(bells.serve, calling=False),
        qdrant=qdrant,
        lanes=lanes,
        tombstone_days=settings.tombstone_days,
        watch=watch.check,
    )
    upkeep: list[Periodic] = [leases, sweeper]
    if Lane.FAST in lanes:
        upkeep.append(IndexUpgrade(build_transfer(settings)))
    used = [part for part in (pictures, fetcher, encoder) if part]
    return Runtime(watchdog, bells, upkeep, used)
