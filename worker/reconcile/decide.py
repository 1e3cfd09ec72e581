"""The decision about one change, by the stored point and the result of its picture.

Pure, but for the log: it reads and writes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import structlog

from shared.errors import ItemFault, ItemPermanent
from shared.fetch.hosts import PicturePutOff
from shared.models.attributes import AttributeType
from shared.models.change import Kind, Outcome, Report, State, Wanted
from shared.qdrant.points import StoredPoint, state_of
from shared.words.analyser import Analyser
from worker.pictures.reader import Pictured, PictureResult, SamePicture
from worker.reconcile.faults import crash
from worker.reconcile.merge import Merged, merge, refusal_of
from worker.reconcile.plan import (
    PendingPut,
    PlannedWrite,
    Plans,
    deletion,
)
from worker.reconcile.reports import RetryPolicy, crashed, found_done, picture_put_off

log = structlog.get_logger(__name__)


class Decisions:
    """A report if nothing is left to do, else a write, or a put that needs its picture read."""

    def __init__(
        self,
        retries: RetryPolicy,
        types: Mapping[str, AttributeType] = MappingProxyType({}),
        analyser: Analyser | None = None,
    ) -> None:
        """`types`: the listed attributes; a value of another type is a warning. `analyser`: of
        products' words; None writes products without."""
        self._retries = retries
        self._types = types
        self._plans = Plans(analyser)

    def first_look(
        self, wanted: Wanted, stored: StoredPoint | None
    ) -> Report | PlannedWrite | PendingPut:
        """The decision before any picture is read. `stored`: the point in the index."""
        live = stored.product if stored else None
        if stored and stored.holds(wanted.rev):
            # A task died between the write and its report.
            return replace(found_done(wanted, live, self._types), refusal=refusal_of(wanted, live))
        # Once, because the write beside the old vector may be what kills the workers.
        keeps_vector = live and wanted.kind is Kind.PUT and self._retries.is_spent_just_now(wanted)
        if self._retries.is_spent(wanted) and not keeps_vector:
            return replace(crashed(wanted), found=state_of(stored))
        if wanted.kind is Kind.DELETE:
            return deletion(wanted)
        try:
            return self._of_merged(wanted, stored, merge(wanted, live))
        except ItemPermanent as fault:
            return self._after_fault(wanted, fault, state_of(stored))

    def _of_merged(
        self, wanted: Wanted, stored: StoredPoint | None, merged: Merged
    ) -> Report | PlannedWrite | PendingPut:
        live = stored.product if stored else None
        # If they are of this very rev, they await its picture.
        fields_rev = wanted.rev if stored and stored.rev == wanted.rev else None
        put = PendingPut(wanted, merged, live, state_of(stored), fields_rev)
        if wanted.kind is Kind.DELTA and live:
            return self._plans.patched(put, live)
        if live and self._retries.is_spent(wanted):
            # Without another look at the picture, the likely cause.
            return self._plans.despite_bad_picture(put, live, crash(wanted))
        if wanted.picture_wait:
            return self._put_off(put, picture_put_off(wanted, wanted.picture_wait))
        return put

    def while_reading(self, put: PendingPut) -> PlannedWrite | None:
        """The write of a put's fields while its picture is being read, if they changed."""
        if put.live is None or put.fields_stand or not put.may_show:
            return None
        planned = self._plans.with_fields_first(put, put.live)
        return planned if planned.changed else None

    def after_picture(self, put: PendingPut, result: PictureResult) -> PlannedWrite | Report:
        """The put's write or report, now that its picture has been read."""
        if isinstance(result, Pictured):
            return self._plans.with_new_vector(put, result)
        if isinstance(result, SamePicture):
            assert put.live is not None  # noqa: S101 - only a stored picture can be the same
            return self._plans.with_same_picture(put, put.live, result)
        if isinstance(result, PicturePutOff):
            report = picture_put_off(put.wanted, result.retry_after or 0.0, result)
            return self._put_off(put, report)
        report = self._after_fault(
            put.wanted, result, put.found, of_picture=True, is_new=put.has_new_url
        )
        if report.result is not Outcome.FAILED:
            return self._put_off(put, report)
        if put.live:
            return self._plans.despite_bad_picture(put, put.live, result)
        return replace(report, refusal=put.merged.refusal)

    def _put_off(self, put: PendingPut, report: Report) -> PlannedWrite | Report:
        """The picture has to wait; the fields of a live product don't."""
        if put.live is None or put.fields_stand:
            return report
        return self._plans.with_fields_first(put, put.live, report)

    def _after_fault(
        self,
        wanted: Wanted,
        fault: ItemFault,
        found: State,
        *,
        of_picture: bool = False,
        is_new: bool = False,
    ) -> Report:
        report = self._retries.after_fault(wanted, fault, of_picture=of_picture, is_new=is_new)
        log.info(
            "item_fault",
            tenant=wanted.tenant,
            product_id=wanted.product_id,
            request_id=wanted.request_id,
            code=fault.code,
            result=report.result,
        )
        return replace(report, found=found)
