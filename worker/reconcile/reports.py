"""What a worker reports, and when it tries again. Pure."""

import random
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.models.change import (
    EVERYTHING,
    Aspect,
    Kind,
    Outcome,
    Report,
    Verdict,
    Wanted,
)

BLANK: Final = ItemPermanent(
    ItemCode.IMAGE_BLANK,
    "The picture shows one colour all over, so searches by looks can't tell the product from "
    "others. Send a picture of the product.",
)
"""The warning of a product that is indexed with such a picture."""


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
        # What the server asks for is bounded where it is read.
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
            return _report(
                wanted,
                Verdict.RETRY,
                code=fault.code,
                message=fault.message,
                delay_seconds=delay,
                picture_waits=of_picture,
            )
        # Of a product that was patched meanwhile it is not the end: the delay holds for it, too.
        return _report(
            wanted,
            Outcome.FAILED,
            code=fault.code,
            message=fault.message,
            retryable=isinstance(fault, ItemTransient),
            delay_seconds=delay,
            picture_waits=of_picture and delay > 0,
        )

    def is_spent(self, wanted: Wanted) -> bool:
        """Whether all attempts are used up before this one: by crashes, for no report was made."""
        return wanted.attempts >= self.max_attempts

    def is_spent_just_now(self, wanted: Wanted) -> bool:
        """Whether nothing has been tried yet since: a crash after that counts once more."""
        return wanted.attempts == self.max_attempts


def landed(
    wanted: Wanted,
    outcome: Outcome,
    changed: Set[Aspect] = EVERYTHING,
    warning: ItemFault | None = None,
) -> Report:
    """The index holds what was wanted, or as much of it as the warning lets.

    `changed` is believed only where nobody else can have written the product meanwhile: else
    searches may have been told of a write that nobody reported.
    """
    return _report(
        wanted,
        outcome,
        code=warning.code if warning else "",
        message=warning.message if warning else "",
        retryable=isinstance(warning, ItemTransient),
        changed=changed if wanted.alone else EVERYTHING,
    )


def found_done(wanted: Wanted, warnings: Sequence[str] = (), *, may_pass: bool = False) -> Report:
    """The write stands already, with these warnings, of which trying again may help where they
    `may_pass`; what it changed is not known any more.
    """
    if wanted.kind is Kind.DELETE:
        return landed(wanted, Outcome.DELETED)
    # A delta leaves the picture as it is, so what is wrong with that is not its own.
    if wanted.kind is Kind.PUT and warnings and warnings[0] == BLANK.code:
        return landed(wanted, Outcome.INDEXED, warning=BLANK)
    if wanted.kind is Kind.PUT and warnings:
        fault = (ItemTransient if may_pass else ItemPermanent)(
            ItemCode(warnings[0]), "the new picture could not be used: the old one stays"
        )
        return landed(wanted, Outcome.INDEXED, warning=fault)
    return landed(wanted, Outcome.INDEXED)


def released(wanted: Wanted, delay_seconds: float) -> Report:
    """Nothing was its fault: given back without counting."""
    return _report(wanted, Verdict.RELEASE, delay_seconds=delay_seconds)


def picture_put_off(
    wanted: Wanted, delay_seconds: float, code: str = "", message: str = ""
) -> Report:
    """Its picture is not to be asked for yet: given back without counting. The code and the message
    say why; empty ones leave what was said before.
    """
    return _report(
        wanted,
        Verdict.RELEASE,
        code=code,
        message=message,
        delay_seconds=delay_seconds,
        picture_waits=True,
    )


def shown(wanted: Wanted, changed: Set[Aspect], report: Report | None = None) -> Report:
    """The report, with the news that the fields stand; without one, the work on it goes on."""
    report = report or _report(wanted, Verdict.SHOWN)
    return replace(report, changed=changed if wanted.alone else EVERYTHING)


def crash(wanted: Wanted) -> ItemPermanent:
    """Workers stood still or died of it as often as it may be tried."""
    times = "1 time" if wanted.attempts == 1 else f"{wanted.attempts} times"
    return ItemPermanent(
        ItemCode.INTERNAL_ERROR,
        f"the worker stood still or died {times} while handling this product; "
        "its picture is the likely cause: send another one",
    )


def crashed(wanted: Wanted) -> Report:
    """Given up for its crashes."""
    fault = crash(wanted)
    return _report(wanted, Outcome.FAILED, code=fault.code, message=fault.message)


def unexpected(err: Exception) -> ItemTransient:
    """A fault of ours that the log explains; the item is tried again like any other."""
    return ItemTransient(
        ItemCode.INTERNAL_ERROR, f"an unexpected error ({type(err).__name__}) was logged"
    )


def vanished() -> ItemTransient:
    """Qdrant said that a write was done, and doesn't hold it."""
    return ItemTransient(ItemCode.INTERNAL_ERROR, "the index lost the product's write")


def _report(
    wanted: Wanted,
    result: Outcome | Verdict,
    *,
    code: str = "",
    message: str = "",
    retryable: bool = False,
    delay_seconds: float = 0.0,
    changed: Set[Aspect] = frozenset(),
    picture_waits: bool = False,
) -> Report:
    return Report(
        wanted.tenant,
        wanted.product_id,
        wanted.rev,
        result,
        code,
        message,
        retryable,
        delay_seconds,
        changed,
        refusal=wanted.refusal,
        picture_waits=picture_waits,
    )
