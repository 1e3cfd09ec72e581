"""Makes the index hold what the ledger wants: claim, look, fetch, embed, write, report."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from pydantic import ValidationError

from shared.breaker import Breaker
from shared.doorbell import Doorbell
from shared.errors import (
    EncoderBusy,
    LedgerUnavailable,
    QdrantRejected,
    QdrantUnavailable,
    TransientError,
)
from shared.ledger import Ledger
from shared.metrics import LANE_PAUSES, REPORTS
from shared.models.change import Claim, Kind, Lane, Report, Wanted
from shared.models.product import Product
from shared.qdrant.points import LivePoint, PointWrite, Tombstone
from shared.qdrant.service import QdrantService
from worker.leases import LeaseKeeper
from worker.outcomes import RetryPolicy, crashed, landed, released, unexpected
from worker.pictures import Pictured, PictureReader

log = structlog.get_logger(__name__)

CLAIM_LIMIT: Final = 64
"""Products per task: two batches of the encoder, and one write that Qdrant takes in its stride."""

PAUSE_SECONDS: Final = 3.0
"""How long a worker leaves its lanes alone after Qdrant or the encoder failed it."""

_REPORT_TRIES: Final = 3
"""Reports are repeated over a short failure of Redis: without one, the work is done again."""


class Reconciler:
    """One per worker process; `answer` runs in many threads at once."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        doorbell: Doorbell,
        qdrant: QdrantService,
        pictures: PictureReader | None,
        leases: LeaseKeeper,
        retries: RetryPolicy,
        lanes: Sequence[Lane],
    ) -> None:
        """`pictures` is needed where `lanes` hold puts."""
        self._ledger = ledger
        self._doorbell = doorbell
        self._qdrant = qdrant
        self._pictures = pictures
        self._leases = leases
        self._retries = retries
        self._lanes = lanes
        self._pause = Breaker(PAUSE_SECONDS)

    def answer(self) -> None:
        """Answers one doorbell: works off up to `CLAIM_LIMIT` due products, if any are due."""
        if self._pause.is_open:
            return  # the sweeper rings again
        claim = self._ledger.claim(self._lanes, CLAIM_LIMIT)
        if claim.more:
            self._ring_on()
        if claim.wanted:
            with self._leases.held(claim):
                self._work(claim)

    def _ring_on(self) -> None:
        """Passes the bell on, so that one ring keeps all threads busy until nothing is due."""
        try:
            self._doorbell.ring(self._lanes[0])
        except TransientError as err:
            log.warning("doorbell_failed", error=err.message)

    def _work(self, claim: Claim) -> None:
        open_ = {(wanted.tenant, wanted.product_id): wanted for wanted in claim.wanted}
        try:
            for reports in self._reconcile(claim.wanted):
                self._report(claim, reports)
                for report in reports:
                    del open_[report.tenant, report.product_id]
        except (QdrantUnavailable, EncoderBusy) as err:
            self._pause.trip()
            LANE_PAUSES.labels(err.code).inc()
            log.warning("lane_paused", code=err.code, error=err.message, released=len(open_))
            self._report(claim, [released(wanted, PAUSE_SECONDS) for wanted in open_.values()])
        except LedgerUnavailable:
            raise  # nothing can be reported: the leases run out, and the work is found done
        except Exception as err:
            log.exception("batch_failed", products=len(open_))
            fault = unexpected(err)
            self._report(
                claim, [self._retries.after_fault(wanted, fault) for wanted in open_.values()]
            )

    def _reconcile(self, claimed: Sequence[Wanted]) -> Iterable[Sequence[Report]]:
        """Reports in groups, each as soon as its write stands."""
        spent = [wanted for wanted in claimed if self._retries.is_spent(wanted)]
        if spent:
            yield [crashed(wanted) for wanted in spent]
        stored = self._qdrant.stored_revs(
            [(wanted.tenant, wanted.product_id) for wanted in claimed]
        )
        done, deletes, puts = [], [], []
        for wanted in claimed:
            if self._retries.is_spent(wanted):
                continue
            if stored.get((wanted.tenant, wanted.product_id), -1) >= wanted.rev:
                # Written by a task that died before its report.
                done.append(landed(wanted))
            elif wanted.kind is Kind.DELETE:
                deletes.append(wanted)
            else:
                puts.append(wanted)
        if done:
            yield done
        if deletes:
            yield self._write([(wanted, _tombstone(wanted)) for wanted in deletes])
        if puts:
            yield from self._put(puts)

    def _put(self, puts: Sequence[Wanted]) -> Iterable[Sequence[Report]]:
        if self._pictures is None:
            raise RuntimeError("a put came to a worker without a model; check its lanes (-Q)")
        products = {}
        unreadable = []
        for wanted in puts:
            try:
                products[wanted] = Product.model_validate_json(wanted.body)
            except ValidationError as err:
                log.exception("body_unreadable", product_id=wanted.product_id)
                unreadable.append(self._retries.after_fault(wanted, unexpected(err)))
        if unreadable:
            yield unreadable
        for group in self._pictures.read([(w, p.image_url) for w, p in products.items()]):
            writes, faults = [], []
            for wanted, result in group:
                if isinstance(result, Pictured):
                    writes.append((wanted, _live_point(wanted, products[wanted], result)))
                else:
                    faults.append(self._retries.after_fault(wanted, result))
                    log.info(
                        "item_fault",
                        tenant=wanted.tenant,
                        product_id=wanted.product_id,
                        request_id=wanted.request_id,
                        code=result.code,
                        result=faults[-1].result,
                    )
            if faults:
                yield faults
            if writes:
                yield self._write(writes)

    def _write(self, writes: Sequence[tuple[Wanted, PointWrite]]) -> Sequence[Report]:
        """One conditional write, read back; split where Qdrant refuses it, so one fails alone."""
        try:
            stored = self._qdrant.upsert_products([point for _, point in writes])
        except QdrantRejected as err:
            if len(writes) == 1:
                log.exception("write_rejected", product_id=writes[0][0].product_id)
                return [self._retries.after_fault(writes[0][0], unexpected(err))]
            half = len(writes) // 2
            return [*self._write(writes[:half]), *self._write(writes[half:])]
        return [self._written(wanted, stored) for wanted, _ in writes]

    def _written(self, wanted: Wanted, stored: Mapping[tuple[str, str], int]) -> Report:
        """Landed where this write or a newer one stands; a write that vanished is tried again."""
        if stored.get((wanted.tenant, wanted.product_id), -1) >= wanted.rev:
            return landed(wanted)
        log.error("write_not_found", product_id=wanted.product_id, rev=wanted.rev)
        return released(wanted, PAUSE_SECONDS)

    def _report(self, claim: Claim, reports: Sequence[Report]) -> None:
        for left in range(_REPORT_TRIES - 1, -1, -1):
            try:
                self._ledger.report(claim, reports)
                break
            except LedgerUnavailable:
                if not left:
                    raise
                time.sleep(1.0)
        for report in reports:
            REPORTS.labels(report.result).inc()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _tombstone(wanted: Wanted) -> Tombstone:
    return Tombstone(tenant=wanted.tenant, product_id=wanted.product_id, rev=wanted.rev)


def _live_point(wanted: Wanted, product: Product, pictured: Pictured) -> LivePoint:
    return LivePoint(
        tenant=wanted.tenant,
        product=product,
        rev=wanted.rev,
        embedding=pictured.embedding,
        image=pictured.image,
        indexed_at=_now(),
    )
