"""Makes the index hold what the ledger wants: claim, look, fetch, embed, write, report."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

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
from shared.models.attributes import attribute_types
from shared.models.change import Claim, Lane, Report, Verdict
from shared.qdrant.points import PayloadWrite, StoredRev
from shared.qdrant.service import QdrantService
from shared.watchdog import Watchdog
from worker.bulk_places import BulkPlaces
from worker.pictures.reader import PictureReader
from worker.reconcile.decide import Decisions, Put
from worker.reconcile.plan import Step, with_attribute_warning
from worker.reconcile.reports import RetryPolicy, released, unexpected, vanished
from worker.upkeep.leases import LeaseKeeper

log = structlog.get_logger(__name__)

CLAIM_LIMIT: Final = 64
"""Products per claim: a few batches of the encoder, one write that Qdrant takes in its stride."""

PAUSE_SECONDS: Final = 3.0
"""How long a worker leaves its lanes alone after Qdrant or the encoder failed it."""

FIELDS_SECONDS: Final = 5.0
"""How long the changed fields of live products wait for pictures that are being read. Those that
come in time cost no second write."""

REFRESH_SECONDS: Final = 1.0
"""Between two looks at what has been patched of the products whose pictures are being read."""

_REPORT_TRIES: Final = 3
"""Reports are repeated over a short failure of Redis: without one, the work is done again."""


class Reconciler:
    """One per worker process; doorbells are answered in many threads at once."""

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
        bulk_tasks: int = 4,
        attribute_indexes: Sequence[str] = (),
        fields_seconds: float = FIELDS_SECONDS,
        refresh_seconds: float = REFRESH_SECONDS,
        watchdog: Watchdog | None = None,
    ) -> None:
        """`pictures` is needed where `lanes` hold puts. `watchdog`: the process's own.

        `bulk_tasks` work on bulk at once, at most: as long as more threads than these answer, one
        is free for what overtakes it.
        """
        self._ledger = ledger
        self._doorbell = doorbell
        self._qdrant = qdrant
        self._pictures = pictures
        self._leases = leases
        self._retries = retries
        self._decisions = Decisions(retries)
        self._lanes = lanes
        self._bulk_places = BulkPlaces(bulk_tasks)
        self._attribute_indexes = attribute_indexes
        self._attribute_types = attribute_types(attribute_indexes)
        self._fields_seconds = fields_seconds
        self._refresh_seconds = refresh_seconds
        self._watchdog = watchdog or Watchdog()
        self._pause = Breaker(PAUSE_SECONDS)
        self._index_in_doubt = False
        self._closed = False
        # Held while a claim is made, and for as long as a suspect is in work.
        self._turn = threading.Lock()
        self._idle = threading.Condition()
        self._in_work = 0

    def answer_all(self) -> None:
        """Answers one doorbell, and goes on until nothing is due that this worker has a place for.

        It calls other threads once: a message for each claim took a twentieth to a tenth of all
        processor time where nothing is embedded.
        """
        calling = True
        while self.answer(calling=calling):
            calling = False

    def answer(self, *, calling: bool = True) -> bool:
        """Of each lane in turn, works off up to `CLAIM_LIMIT` due products.

        `calling`: whether it rings for others to join where more are due. Returns whether others
        are due that this worker has a place for. While the worker pauses or stops, it takes none:
        whatever waits stays in the ledger, and the sweepers ring.
        """
        more = False
        for lane in self._lanes:
            # A claim of each, for what overtakes must not wait for what it overtakes.
            if lane is Lane.BULK:
                more |= self._serve_bulk(calling=calling)
            else:
                more |= self._serve(lane, calling=calling)
        return more

    def _serve_bulk(self, *, calling: bool) -> bool:
        """Serves bulk where a place is free.

        A bell that found none is answered by whoever frees one: it goes on itself, or passes the
        bell on. Where it means to go on and can't any more, sweepers ring within a second.
        """
        if not self._bulk_places.take():
            return False
        more = False
        try:
            more = self._serve(Lane.BULK, calling=calling)
        finally:
            if self._bulk_places.give_back() and not more:
                self._ring(Lane.BULK)
        return more

    def _serve(self, lane: Lane, *, calling: bool) -> bool:
        """Works off one claim of the lane; returns whether others are due in it."""
        with self._turn:
            if self._closed or self._pause.is_open or not self._index_is_there():
                return False
            claim = self._ledger.claim([lane], CLAIM_LIMIT)
            if claim.suspect:
                # Nobody here takes anything meanwhile: if it kills the process, what else is in
                # work loses its lease along with it, and other suspects an attempt.
                self._work_off(claim, lane, calling=calling)
                return claim.more
            with self._idle:
                self._in_work += 1
        try:
            self._work_off(claim, lane, calling=calling)
        finally:
            with self._idle:
                self._in_work -= 1
                self._idle.notify()
        return claim.more

    def _work_off(self, claim: Claim, lane: Lane, *, calling: bool) -> None:
        with self._leases.held(claim), self._watchdog.work():
            if claim.suspect:
                with self._idle:
                    self._idle.wait_for(lambda: self._in_work == 0)
            if claim.more and calling:
                # So one ring makes all threads busy, each of which calls the next.
                self._ring(lane)
            if claim.wanted:
                self._work(claim, urgent=lane is not Lane.BULK)

    def close(self) -> None:
        """Takes no more products; what is in work is finished."""
        self._closed = True

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

    def _ring(self, lane: Lane) -> None:
        try:
            self._doorbell.ring(lane)
        except TransientError as err:
            log.warning("doorbell_failed", error=err.message)

    def _work(self, claim: Claim, *, urgent: bool) -> None:
        open_ = {(wanted.tenant, wanted.product_id): wanted for wanted in claim.wanted}
        try:
            for reports in self._reconcile(claim, urgent):
                self._report(claim, reports)
                for report in reports:
                    if report.result is not Verdict.SHOWN:
                        del open_[report.tenant, report.product_id]
        except (QdrantUnavailable, EncoderBusy) as err:
            self._pause.trip()
            self._index_in_doubt = isinstance(err, QdrantUnavailable)
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

    def _reconcile(self, claim: Claim, urgent: bool) -> Iterable[Sequence[Report]]:
        """Reports in groups, each as soon as its write stands."""
        index = self._qdrant.stored([(wanted.tenant, wanted.product_id) for wanted in claim.wanted])
        settled: list[Report] = []
        steps: list[Step] = []
        puts: list[Put] = []
        for wanted in claim.wanted:
            outcome = self._decisions.first_look(
                wanted, index.get((wanted.tenant, wanted.product_id))
            )
            if isinstance(outcome, Report):
                settled.append(outcome)
            elif isinstance(outcome, Step):
                steps.append(outcome)
            else:
                puts.append(outcome)
        if settled:
            yield settled
        if steps:
            yield self._write(steps)
        if puts:
            yield from self._put(claim, puts, urgent)

    def _put(self, claim: Claim, puts: Sequence[Put], urgent: bool) -> Iterable[Sequence[Report]]:
        if self._pictures is None:
            raise RuntimeError("a put came to a worker without a model; check its lanes (-Q)")
        reading = set(puts)
        requests = [put.picture_request() for put in puts]
        show_at = time.monotonic() + self._fields_seconds
        refresh_at = time.monotonic() + self._refresh_seconds
        for group in self._pictures.read(requests, urgent=urgent, wanted=reading):
            if group or time.monotonic() >= refresh_at:
                refresh_at = time.monotonic() + self._refresh_seconds
                self._refresh(claim, reading)
            read = [(put, result) for put, result in group if put in reading]
            reading.difference_update(put for put, _ in read)
            is_late = time.monotonic() >= show_at
            # Who patches a product waits for its fields; nobody has done so to the others.
            yield self._show_fields([put for put in reading if is_late or put.wanted.deltas])
            steps: list[Step] = []
            faults: list[Report] = []
            for put, result in read:
                outcome = self._decisions.after_picture(put, result)
                if isinstance(outcome, Step):
                    steps.append(outcome)
                else:
                    faults.append(outcome)
            if faults:
                yield faults
            if steps:
                yield self._write(steps)

    def _refresh(self, claim: Claim, reading: set[Put]) -> None:
        """Takes in what has been patched, and takes out what the claim holds no more."""
        puts = list(reading)
        try:
            newest = self._ledger.refresh(claim, [put.wanted for put in puts])
        except LedgerUnavailable as err:
            # The next look may come through; the report will tell if none does.
            log.warning("not_refreshed", error=err.message)
            return
        for put, wanted in zip(puts, newest, strict=True):
            if wanted is None:
                # Another task works on it, and nothing that is decided here counts any more.
                reading.discard(put)
            elif wanted.rev != put.wanted.rev:
                put.patched(wanted)

    def _show_fields(self, puts: Sequence[Put]) -> Sequence[Report]:
        """Writes the changed fields of live products whose pictures are still being read."""
        steps = {put: step for put in puts if (step := self._decisions.while_reading(put))}
        reports = self._write(list(steps.values())) if steps else []
        stand = {(report.tenant, report.product_id) for report in reports}
        for put, step in steps.items():
            put.offered(step.point, stands=step.point.key in stand)
        return reports

    def _write(self, steps: Sequence[Step]) -> Sequence[Report]:
        """One conditional write, read back; split where Qdrant refuses it, so one fails alone."""
        try:
            stored = self._qdrant.upsert_products([step.point for step in steps])
        except QdrantRejected as err:
            if len(steps) == 1:
                wanted = steps[0].wanted
                log.exception(
                    "write_rejected",
                    product_id=wanted.product_id,
                    request_id=wanted.request_id,
                )
                if steps[0].report.result is Verdict.SHOWN:
                    return []  # the write that brings the picture will tell
                return [self._retries.after_fault(wanted, unexpected(err))]
            half = len(steps) // 2
            return [*self._write(steps[:half]), *self._write(steps[half:])]
        reports = [self._written(step, stored.get(step.point.key)) for step in steps]
        return [report for report in reports if report]

    def _written(self, step: Step, stored: StoredRev | None) -> Report | None:
        """Landed if this write or a newer one stands; None if it doesn't and work on it goes on."""
        wanted = step.wanted
        if stored and (stored.holds(wanted.rev) or step.brings_fields(stored)):
            return with_attribute_warning(step, self._attribute_types)
        if step.report.result is Verdict.SHOWN:
            return None
        facts = {"product_id": wanted.product_id, "request_id": wanted.request_id}
        if isinstance(step.point, PayloadWrite) or (stored and stored.awaits_picture):
            # Decided about a picture that is another one by now, or without knowing of fields that
            # another worker wrote meanwhile; so it is decided again.
            log.info("decided_again", **facts)
            return released(wanted, 0.0)
        log.error("write_not_found", **facts)
        return self._retries.after_fault(wanted, vanished())

    def _report(self, claim: Claim, reports: Sequence[Report]) -> None:
        for left in range(_REPORT_TRIES - 1, -1, -1):
            try:
                wakes = self._ledger.report(claim, reports)
                break
            except LedgerUnavailable:
                if not left:
                    raise
                time.sleep(1.0)
        for lane in wakes:
            self._ring(lane)
        for report in reports:
            REPORTS.labels(report.result).inc()
