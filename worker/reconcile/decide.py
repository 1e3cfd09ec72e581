"""What to do about one wanted state, by what the index holds and what came of its picture.

Pure, but for the log: it reads and writes nothing.
"""

from dataclasses import dataclass, replace

import structlog

from shared.errors import ItemFault, ItemPermanent
from shared.fetch.hosts import PicturePutOff
from shared.models.change import Kind, Outcome, Report, State, Wanted
from shared.models.product import Product, StoredProduct
from shared.qdrant.points import PayloadWrite, PointWrite, StoredPoint
from worker.pictures.reader import Pictured, PictureRequest, PictureResult, SamePicture
from worker.reconcile.plan import (
    Step,
    changed_aspects,
    deletion,
    despite_bad_picture,
    is_done,
    patched,
    state_of,
    wanted_product,
    with_fields_first,
    with_new_vector,
    with_refusal,
    with_same_picture,
)
from worker.reconcile.reports import RetryPolicy, crash, crashed, found_done, picture_put_off

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Put:
    """A put on its way through the pictures.

    `live`: the product as the index holds it. `fields_rev`: the rev under which the index holds the
    put's fields already, beside the picture of before.
    """

    wanted: Wanted
    product: Product
    live: StoredProduct | None
    found: State
    fields_rev: int | None = None
    may_show: bool = True
    """Whether its fields have not been offered to the index under its rev."""

    @property
    def fields_stand(self) -> bool:
        """Whether the index holds its fields already, under its rev."""
        return self.fields_rev == self.wanted.rev

    @property
    def after_fields(self) -> bool:
        """Whether the index holds fields of this put, if only as they were before a patch."""
        return self.fields_rev is not None

    def patched(self, wanted: Wanted) -> None:
        """The put is wanted like this by now: some patches richer, under a newer rev."""
        self.wanted, self.product = wanted_product(wanted, self.live)
        self.may_show = True

    def offered(self, point: PointWrite, *, stands: bool) -> None:
        """Its fields have been sent to the index, where they stand or lost to something else."""
        self.may_show = False
        if stands and self.live and isinstance(point, PayloadWrite):
            self.live = replace(self.live, product=point.product, rev=point.rev)
            self.fields_rev = point.rev

    @property
    def has_new_url(self) -> bool:
        """Whether its picture comes from another address than the stored one."""
        return self.live is None or self.live.product.image_url != self.product.image_url

    def picture_request(self) -> PictureRequest["Put"]:
        """The request for its picture, with what is known of the one behind the stored vector."""
        known = self.live.image if self.live and not self.wanted.refetch else None
        return PictureRequest(
            self,
            self.product.image_url,
            known,
            revalidate=known is not None and not self.has_new_url,
            suspect=self.wanted.suspect,
        )


class Decisions:
    """A report where nothing is left to do, a step where something is to be written."""

    def __init__(self, retries: RetryPolicy) -> None:
        self._retries = retries

    def first_look(self, wanted: Wanted, stored: StoredPoint | None) -> Report | Step | Put:
        """What can be said, or written, before any picture is read; else the put that needs one."""
        live = stored.product if stored else None
        if is_done(wanted, stored):
            return _found_done(with_refusal(wanted, live), live)
        if self._retries.is_spent(wanted):
            return self._give_up(wanted, stored)
        if wanted.kind is Kind.DELETE:
            return deletion(wanted)
        try:
            wanted, product = wanted_product(wanted, live)
        except ItemPermanent as fault:
            return self._faulty(wanted, fault, state_of(stored))
        if wanted.kind is Kind.DELTA and live:
            return patched(wanted, product, live)
        return self._unless_put_off(
            Put(wanted, product, live, state_of(stored), _fields_rev(wanted, stored))
        )

    def _unless_put_off(self, put: Put) -> Put | Step | Report:
        """The put, unless its picture is not to be asked for yet."""
        wait = put.wanted.picture_wait
        return self._put_off(put, picture_put_off(put.wanted, wait)) if wait else put

    def while_reading(self, put: Put) -> Step | None:
        """What to write of the put while its picture is still being read, if its fields changed."""
        live = put.live
        if live is None or put.fields_stand or not put.may_show:
            return None
        if not changed_aspects(live.product, put.product):
            return None
        return with_fields_first(put.wanted, put.product, live)

    def _give_up(self, wanted: Wanted, stored: StoredPoint | None) -> Step | Report:
        """Without another look at the picture, the likely cause: a product that has a vector is
        written beside it. Once: where that is what kills the workers, it ends all the same.
        """
        live = stored.product if stored else None
        if live and wanted.kind is Kind.PUT and self._retries.is_spent_just_now(wanted):
            try:
                wanted, product = wanted_product(wanted, live)
            except ItemPermanent as fault:
                return self._faulty(wanted, fault, state_of(stored))
            after_fields = _fields_rev(wanted, stored) is not None
            return despite_bad_picture(
                wanted, product, live, crash(wanted), after_fields=after_fields
            )
        return replace(crashed(wanted), found=state_of(stored))

    def after_picture(self, put: Put, result: PictureResult) -> Step | Report:
        """What to write of the put, or to report, now that its picture has been read."""
        wanted, product, live, after = put.wanted, put.product, put.live, put.after_fields
        if isinstance(result, Pictured):
            return with_new_vector(wanted, product, result, after_fields=after)
        if isinstance(result, SamePicture):
            assert live is not None  # noqa: S101 - only a stored picture can be the same
            return with_same_picture(wanted, product, live, result, after_fields=after)
        if isinstance(result, PicturePutOff):
            wait = result.retry_after or 0.0
            return self._put_off(put, picture_put_off(wanted, wait, result.code, result.message))
        report = self._faulty(wanted, result, put.found, of_picture=True, is_new=put.has_new_url)
        if report.result is not Outcome.FAILED:
            return self._put_off(put, report)
        if live:
            return despite_bad_picture(wanted, product, live, result, after_fields=after)
        return report

    @staticmethod
    def _put_off(put: Put, report: Report) -> Step | Report:
        """The picture has to wait; the fields of a live product don't."""
        if put.live is None or put.fields_stand:
            return report
        return with_fields_first(put.wanted, put.product, put.live, report)

    def _faulty(
        self,
        wanted: Wanted,
        fault: ItemFault,
        found: State,
        *,
        of_picture: bool = False,
        is_new: bool = False,
    ) -> Report:
        report = self._retries.after_fault(wanted, fault, of_picture=of_picture, is_new=is_new)
        report = replace(report, found=found)
        log.info(
            "item_fault",
            tenant=wanted.tenant,
            product_id=wanted.product_id,
            request_id=wanted.request_id,
            code=fault.code,
            result=report.result,
        )
        return report


def _fields_rev(wanted: Wanted, stored: StoredPoint | None) -> int | None:
    stand = stored is not None and stored.rev == wanted.rev and stored.awaits_picture
    return wanted.rev if stand else None


def _found_done(wanted: Wanted, live: StoredProduct | None) -> Report:
    if live is None:
        return found_done(wanted)
    return found_done(wanted, live.warnings, may_pass=live.warning_may_pass)
