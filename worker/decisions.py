"""What to do about one wanted state, by what the index holds and what came of its picture.

Pure, but for the log: it reads and writes nothing.
"""

from dataclasses import dataclass, replace

import structlog

from shared.errors import ItemFault, ItemPermanent
from shared.fetch.hosts import HostPutOff
from shared.models.change import Kind, Outcome, Report, State, Wanted
from shared.models.product import Product, StoredProduct
from shared.qdrant.points import StoredPoint
from worker.outcomes import RetryPolicy, crash, crashed, found_done, released
from worker.pictures import Pictured, PictureRequest, PictureResult, SamePicture
from worker.plan import (
    Step,
    deletion,
    despite_bad_picture,
    is_done,
    patched,
    state_of,
    wanted_product,
    with_new_vector,
    with_refusal,
    with_same_picture,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """A put on its way through the pictures. `live`: the product as the index holds it."""

    wanted: Wanted
    product: Product
    live: StoredProduct | None
    found: State

    def picture_request(self) -> PictureRequest["Put"]:
        """The request for its picture, with what is known of the one behind the stored vector."""
        if self.live is None:
            return PictureRequest(self, self.product.image_url)
        same_url = self.live.product.image_url == self.product.image_url
        return PictureRequest(self, self.product.image_url, self.live.image, same_url)


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
        return Put(wanted, product, live, state_of(stored))

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
            return despite_bad_picture(wanted, product, live, crash(wanted))
        return replace(crashed(wanted), found=state_of(stored))

    def after_picture(self, put: Put, result: PictureResult) -> Step | Report:
        """What to write of the put, or to report, now that its picture has been read."""
        wanted, product, live = put.wanted, put.product, put.live
        if isinstance(result, Pictured):
            return with_new_vector(wanted, product, result)
        if isinstance(result, SamePicture):
            assert live is not None  # noqa: S101 - only a stored picture can be the same
            return with_same_picture(wanted, product, live, result)
        if isinstance(result, HostPutOff):
            return released(wanted, result.retry_after or 0.0)
        report = self._faulty(wanted, result, put.found)
        if report.result is Outcome.FAILED and live:
            return despite_bad_picture(wanted, product, live, result)
        return report

    def _faulty(self, wanted: Wanted, fault: ItemFault, found: State) -> Report:
        report = replace(self._retries.after_fault(wanted, fault), found=found)
        log.info(
            "item_fault",
            tenant=wanted.tenant,
            product_id=wanted.product_id,
            request_id=wanted.request_id,
            code=fault.code,
            result=report.result,
        )
        return report


def _found_done(wanted: Wanted, live: StoredProduct | None) -> Report:
    if live is None:
        return found_done(wanted)
    return found_done(wanted, live.warnings, may_pass=live.warning_may_pass)
