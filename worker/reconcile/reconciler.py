"""Makes the index hold what the ledger wants: claim, look, fetch, embed, write, report."""

import time
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
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
from worker.pictures.reader import PictureReader, PictureResult
from worker.reconcile.decide import Decisions, Put
from worker.reconcile.plan import Step, with_attribute_warning
from worker.reconcile.reports import RetryPolicy, released, unexpected, vanished
from worker.together_or_alone import TogetherOrAlone
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
        self._line = pictures.line if pictures else TogetherOrAlone()

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
        if self._closed or self._pause.is_open or not self._index_is_there():
            return False
        claim = self._ledger.claim([lane], CLAIM_LIMIT)
        with self._leases.held(claim), self._watchdog.work():
            if claim.more and calling:
                # So one ring makes all threads busy, each of which calls the next.
                self._ring(lane)
            if claim.wanted:
                self._work(claim, urgent=lane is not Lane.BULK)
        return claim.more

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
            with closing(self._reconcile(claim, urgent)) as groups:
                for reports in groups:
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

    def _reconcile(self, claim: Claim, urgent: bool) -> Generator[Sequence[Report]]:
        """Reports in groups, each as soon as its write stands."""
        index = self._qdrant.stored([(wanted.tenant, wanted.product_id) for wanted in claim.wanted])
        settled: list[Report] = []
        steps: list[Step] = []
        suspects: list[Step] = []
        puts: list[Put] = []
        for wanted in claim.wanted:
            outcome = self._decisions.first_look(
                wanted, index.get((wanted.tenant, wanted.product_id))
            )
            if isinstance(outcome, Report):
                settled.append(outcome)
            elif isinstance(outcome, Put):
                puts.append(outcome)
            else:
                (suspects if wanted.suspect else steps).append(outcome)
        if settled:
            yield settled
        if steps:
            yield self._write(steps)
        for step in suspects:
            with self._line.alone():
                if self._ledger.stand_alone(claim, step.wanted):
                    yield self._write([step])
        if puts:
            yield from self._put(claim, puts, urgent)

    def _put(self, claim: Claim, puts: Sequence[Put], urgent: bool) -> Generator[Sequence[Report]]:
        if self._pictures is None:
            raise RuntimeError("a put came to a worker without a model; check its lanes (-Q)")
        reading = set(puts)
        # Of suspects, first those that have not been found guilty yet.
        puts = sorted(puts, key=lambda put: put.wanted.attempts)
        read = self._pictures.read(
            [put.picture_request() for put in puts],
            urgent=urgent,
            wanted=reading,
            stand_alone=lambda put: self._ledger.stand_alone(claim, put.wanted),
        )
        show_at = time.monotonic() + self._fields_seconds
        refresh_at = time.monotonic() + self._refresh_seconds
        with closing(read) as groups:
            for group in groups:
                if group or time.monotonic() >= refresh_at:
                    refresh_at = time.monotonic() + self._refresh_seconds
                    self._refresh(claim, reading)
                done = [(put, result) for put, result in group if put in reading]
                reading.difference_update(put for put, _ in done)
                if shown := self._show_fields(reading, show_all=time.monotonic() >= show_at):
                    yield shown
                yield from self._settle(done)

    def _settle(self, done: Sequence[tuple[Put, PictureResult]]) -> Generator[Sequence[Report]]:
        steps: list[Step] = []
        faults: list[Report] = []
        for put, result in done:
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

    def _show_fields(self, reading: Collection[Put], *, show_all: bool) -> Sequence[Report]:
        """Writes changed fields of live products whose pictures are still being read: of those that
        have been patched or are suspects at once, and of all if the pictures take long.
        """
        puts = [put for put in reading if show_all or put.wanted.deltas or put.wanted.suspect]
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
