"""Makes the index hold what the ledger wants: look, merge, decide, read pictures, write, report."""

import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

import structlog

from shared.errors import EncoderBusy, LedgerUnavailable, QdrantRejected, QdrantUnavailable
from shared.ledger import Ledger
from shared.metrics import REPORTS
from shared.models.attributes import attribute_types
from shared.models.change import Claim, Lane, Report, Verdict
from shared.qdrant.service import QdrantService
from shared.words.analyser import Analyser
from worker.bells import PAUSE_SECONDS
from worker.pictures.reader import PictureReader
from worker.reconcile.decide import Decisions
from worker.reconcile.faults import unexpected
from worker.reconcile.plan import PendingPut, PlannedWrite
from worker.reconcile.reports import RetryPolicy, released, report_of
from worker.together_or_alone import TogetherOrAlone

log = structlog.get_logger(__name__)

FIELDS_SECONDS: Final = 5.0
"""Seconds that changed fields of live products wait for their pictures. A picture that comes in
time costs no second write."""

REFRESH_SECONDS: Final = 1.0
"""Seconds between two looks for patches of products while their pictures are being read."""

_REPORT_TRIES: Final = 3
"""Reports are repeated over a short failure of Redis: without one, the work is done again."""


class Reconciler:
    """One per worker process; works off many claims at once."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        ring: Callable[[Lane], None],
        qdrant: QdrantService,
        pictures: PictureReader | None,
        retries: RetryPolicy,
        attribute_indexes: Sequence[str] = (),
        analyser: Analyser | None = None,
        fields_seconds: float = FIELDS_SECONDS,
    ) -> None:
        """`pictures` is needed if puts are claimed. `ring` calls the workers of a lane. `analyser`:
        of products' words; None writes products without."""
        self._ledger = ledger
        self._ring = ring
        self._qdrant = qdrant
        self._pictures = pictures
        self._retries = retries
        self._attribute_types = attribute_types(attribute_indexes)
        self._decisions = Decisions(retries, self._attribute_types, analyser)
        self._fields_seconds = fields_seconds
        self._line = pictures.line if pictures else TogetherOrAlone()

    def work_off(self, claim: Claim, lane: Lane) -> None:
        """Works off a claim of the lane and reports each of its products.

        Raises `QdrantUnavailable` and `EncoderBusy` after it has given the rest back; and
        `LedgerUnavailable`: then nothing can be reported, the leases run out, and the work is found
        done.
        """
        open_ = {(wanted.tenant, wanted.product_id): wanted for wanted in claim.wanted}
        try:
            with closing(self._reconcile(claim, urgent=lane is not Lane.BULK)) as groups:
                for reports in groups:
                    self._report(claim, reports)
                    for report in reports:
                        if report.result is not Verdict.SHOWN:
                            del open_[report.tenant, report.product_id]
        except (QdrantUnavailable, EncoderBusy) as err:
            log.warning("claim_released", code=err.code, released=len(open_))
            self._report(claim, [released(wanted, PAUSE_SECONDS) for wanted in open_.values()])
            raise
        except LedgerUnavailable:
            raise
        except Exception as err:
            log.exception("batch_failed", products=len(open_))
            fault = unexpected(err)
            self._report(
                claim, [self._retries.after_fault(wanted, fault) for wanted in open_.values()]
            )

    def _reconcile(self, claim: Claim, *, urgent: bool) -> Generator[Sequence[Report]]:
        """Reports in groups, each as soon as its write stands."""
        index = self._qdrant.stored([(wanted.tenant, wanted.product_id) for wanted in claim.wanted])
        decided: list[Report | PlannedWrite] = []
        suspects: list[PlannedWrite] = []
        puts: list[PendingPut] = []
        for wanted in claim.wanted:
            decision = self._decisions.first_look(
                wanted, index.get((wanted.tenant, wanted.product_id))
            )
            if isinstance(decision, PendingPut):
                puts.append(decision)
            elif isinstance(decision, PlannedWrite) and wanted.suspect:
                suspects.append(decision)
            else:
                decided.append(decision)
        yield from self._settle(decided)
        for planned in suspects:
            with self._line.alone():
                if self._ledger.stand_alone(claim, planned.wanted):
                    yield self._write([planned])
        if puts:
            yield from self._put(claim, puts, urgent=urgent)

    def _settle(self, decided: Sequence[Report | PlannedWrite]) -> Generator[Sequence[Report]]:
        """Those that need no write first."""
        if reports := [each for each in decided if isinstance(each, Report)]:
            yield reports
        if writes := [each for each in decided if isinstance(each, PlannedWrite)]:
            yield self._write(writes)

    def _put(
        self, claim: Claim, puts: Sequence[PendingPut], *, urgent: bool
    ) -> Generator[Sequence[Report]]:
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
        refresh_at = time.monotonic() + REFRESH_SECONDS
        with closing(read) as groups:
            for group in groups:
                if group or time.monotonic() >= refresh_at:
                    refresh_at = time.monotonic() + REFRESH_SECONDS
                    self._refresh(claim, reading)
                done = [(put, result) for put, result in group if put in reading]
                reading.difference_update(put for put, _ in done)
                if shown := self._show_fields(reading, show_all=time.monotonic() >= show_at):
                    yield shown
                yield from self._settle([self._decisions.after_picture(*each) for each in done])

    def _refresh(self, claim: Claim, reading: set[PendingPut]) -> None:
        """Takes in patches, and takes out products that the claim holds no more."""
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

    def _show_fields(self, reading: Collection[PendingPut], *, show_all: bool) -> Sequence[Report]:
        """Writes changed fields of live products before their pictures: of patched products and
        suspects at once, and of all if the pictures take long.
        """
        puts = [put for put in reading if show_all or put.wanted.deltas or put.wanted.suspect]
        writes: dict[PendingPut, PlannedWrite] = {}
        for put in puts:
            if write := self._decisions.while_reading(put):
                writes[put] = write
            else:
                put.may_show = False  # fields that are the same are compared once, not every look
        reports = self._write(list(writes.values())) if writes else []
        stand = {(report.tenant, report.product_id) for report in reports}
        for put, write in writes.items():
            put.shown(write, stands=write.point.key in stand)
        return reports

    def _write(self, writes: Sequence[PlannedWrite]) -> Sequence[Report]:
        """One conditional write, read back; split if Qdrant refuses it, so one fails alone."""
        try:
            stored = self._qdrant.upsert_products([planned.point for planned in writes])
        except QdrantRejected as err:
            if len(writes) == 1:
                return self._rejected(writes[0], err)
            half = len(writes) // 2
            return [*self._write(writes[:half]), *self._write(writes[half:])]
        reports = [
            report_of(planned, stored.get(planned.point.key), self._retries, self._attribute_types)
            for planned in writes
        ]
        return [report for report in reports if report]

    def _rejected(self, planned: PlannedWrite, err: QdrantRejected) -> Sequence[Report]:
        wanted = planned.wanted
        log.error(
            "write_rejected",
            product_id=wanted.product_id,
            request_id=wanted.request_id,
            exc_info=err,
        )
        if planned.outcome is Verdict.SHOWN:
            return []  # the write that brings the picture will tell
        report = self._retries.after_fault(wanted, unexpected(err))
        return [replace(report, refusal=planned.refusal)]

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
