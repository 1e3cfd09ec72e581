"""A worker's reports, and when it tries again. Pure, but for the log."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.models.attributes import AttributeType
from shared.models.change import EVERYTHING, Kind, Outcome, Report, Verdict, Wanted
from shared.models.product import StoredProduct
from shared.models.remarks import remarks
from shared.qdrant.points import PayloadWrite, StoredRev, Tombstone
from worker.reconcile.faults import BLANK, crash, vanished
from worker.reconcile.plan import PlannedWrite

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an item is tried, and how long after each failure.

    `not_found_seconds`: after how long a new picture that is missing is looked for once more.
    """

    max_attempts: int
    base_seconds: float
    not_found_seconds: float = 30.0
    max_seconds: float = 600.0
    chance: Callable[[], float] = random.random

    def delay(self, attempts: int, retry_after: float | None) -> float:
        """Seconds until the next try after `attempts` failures, quadrupled after each.

        Jitter of ±50 % keeps the items of one broken picture server from coming back together.
        """
        backoff: float = self.base_seconds * 4**attempts * (0.5 + self.chance())
        # `Retry-After` is bounded by its reader.
        return max(min(backoff, self.max_seconds), retry_after or 0.0)

    def after_fault(
        self, wanted: Wanted, fault: ItemFault, *, of_picture: bool = False, is_new: bool = False
    ) -> Report:
        """Another try if that may help and is left, else the end.

        `of_picture`: whether it is the picture's fault, so that only the picture waits. `is_new`:
        whether its address is new; the shop's server may not have it yet, so that a missing one is
        looked for once more.
        """
        may_pass, delay = isinstance(fault, ItemTransient), 0.0
        if isinstance(fault, ItemTransient):
            delay = self.delay(wanted.attempts, fault.retry_after)
        elif is_new and ItemCode.IMAGE_NOT_FOUND == fault.code != wanted.last_fault:
            may_pass, delay = True, self.not_found_seconds
        if may_pass and wanted.attempts + 1 < self.max_attempts:
            return _report(wanted, Verdict.RETRY, fault, delay, picture_waits=of_picture)
        # Of a product that was patched meanwhile it is not the end: the delay holds for it, too.
        waits = of_picture and delay > 0
        return _report(wanted, Outcome.FAILED, fault, delay, picture_waits=waits)

    def is_spent(self, wanted: Wanted) -> bool:
        """Whether all attempts are used up before this one: by crashes, for no report was made."""
        return wanted.attempts >= self.max_attempts

    def is_spent_just_now(self, wanted: Wanted) -> bool:
        """Whether nothing has been tried yet since: a crash after that counts once more."""
        return wanted.attempts == self.max_attempts


def report_of(
    planned: PlannedWrite,
    stored: StoredRev | None,
    retries: RetryPolicy,
    types: Mapping[str, AttributeType],
) -> Report | None:
    """The report of a write, by the index's state afterwards.

    None if the write was of fields before their picture, and they don't stand. `types`: the
    listed attributes; a value of another type is a warning.
    """
    wanted = planned.wanted
    facts = {"product_id": wanted.product_id, "request_id": wanted.request_id}
    if stored and (stored.holds(wanted.rev) or planned.brings_fields(stored)):
        return _of_what_stands(planned, types)
    if planned.outcome is Verdict.SHOWN:
        return None
    if isinstance(planned.point, PayloadWrite) or (stored and stored.awaits_picture):
        # Decided about a picture that is another one by now, or without knowing of fields that
        # another worker wrote meanwhile; so it is decided again.
        log.info("decided_again", **facts)
        return released(wanted, 0.0)
    log.error("write_not_found", **facts)
    return replace(retries.after_fault(wanted, vanished()), refusal=planned.refusal)


def _of_what_stands(planned: PlannedWrite, types: Mapping[str, AttributeType]) -> Report:
    if planned.put_off:
        report = planned.put_off
    elif isinstance(planned.outcome, Verdict):
        report = _report(planned.wanted, planned.outcome)
    else:
        report = landed(planned.wanted, planned.outcome, *_warnings(planned, types))
    changed = planned.changed if planned.wanted.sole_writer else EVERYTHING
    return replace(report, changed=changed, refusal=planned.refusal)


def _warnings(
    planned: PlannedWrite, types: Mapping[str, AttributeType]
) -> Sequence[ItemFault | None]:
    if isinstance(planned.point, Tombstone):
        return ()
    of_picture = [planned.warning]
    if planned.warning and BLANK.code in planned.point.warnings[1:]:
        of_picture.append(BLANK)  # the bad picture's place is still held by a blank one
    return (*of_picture, *remarks(planned.point.product, types))


def landed(wanted: Wanted, outcome: Outcome, *warnings: ItemFault | None) -> Report:
    """The index holds the change, or as much of it as the warnings let. Everything counts as
    changed.
    """
    found = [warning for warning in warnings if warning]
    return replace(
        _report(wanted, outcome, found[0] if found else None),
        message=" ".join(warning.message for warning in found),
        more_codes=[warning.code for warning in found[1:]],
        retryable=False,  # no retry takes what has landed
        changed=EVERYTHING,
    )


def found_done(
    wanted: Wanted, live: StoredProduct | None, types: Mapping[str, AttributeType]
) -> Report:
    """The write stands already; what it changed is not known any more. `live`: the product as the
    index holds it.
    """
    if wanted.kind is Kind.DELETE:
        return landed(wanted, Outcome.DELETED)
    if live is None:
        return landed(wanted, Outcome.INDEXED)
    message = "The new picture could not be used: the old one stays."
    # A patch leaves the picture as it is, so a fault of the picture is not the patch's.
    of_picture = [
        BLANK if code == BLANK.code else ItemPermanent(ItemCode(code), message)
        for code in live.warnings
        if wanted.kind is Kind.PUT
    ]
    return landed(wanted, Outcome.INDEXED, *of_picture, *remarks(live.product, types))


def released(wanted: Wanted, delay_seconds: float) -> Report:
    """Nothing was its fault: given back without counting."""
    return _report(wanted, Verdict.RELEASE, None, delay_seconds)


def picture_put_off(wanted: Wanted, delay_seconds: float, fault: ItemFault | None = None) -> Report:
    """Its picture is not to be asked for yet: given back without counting. The fault says why; None
    leaves what was said before.
    """
    return _report(wanted, Verdict.RELEASE, fault, delay_seconds, picture_waits=True)


def crashed(wanted: Wanted) -> Report:
    """Given up for its crashes."""
    return _report(wanted, Outcome.FAILED, crash(wanted))


def _report(
    wanted: Wanted,
    result: Outcome | Verdict,
    fault: ItemFault | None = None,
    delay_seconds: float = 0.0,
    *,
    picture_waits: bool = False,
) -> Report:
    return Report(
        wanted.tenant,
        wanted.product_id,
        wanted.rev,
        result,
        fault.code if fault else "",
        fault.message if fault else "",
        isinstance(fault, ItemTransient),
        delay_seconds,
        picture_waits=picture_waits,
    )
