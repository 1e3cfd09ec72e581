"""When a worker tries again, and what it reports."""

from dataclasses import replace

import pytest

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.models.change import EVERYTHING, Aspect, Kind, Outcome, Verdict, Wanted
from shared.models.product import ImageFacts, Product, StoredProduct
from shared.qdrant.points import StoredRev, Tombstone
from worker.reconcile.plan import PlannedWrite
from worker.reconcile.reports import RetryPolicy, crashed, found_done, report_of

POLICY = RetryPolicy(max_attempts=3, base_seconds=2.0, max_seconds=600.0, chance=lambda: 0.5)


def wanted(attempts: int = 0, kind: Kind = Kind.PUT) -> Wanted:
    return Wanted("shop", "p", 7, kind, "", (), None, attempts, "", sole_writer=True)


def test_a_passing_fault_is_tried_again_with_growing_delay() -> None:
    fault = ItemTransient(ItemCode.IMAGE_TIMEOUT, "slow")
    reports = [POLICY.after_fault(wanted(attempts), fault) for attempts in range(2)]
    assert [report.result for report in reports] == [Verdict.RETRY, Verdict.RETRY]
    assert [report.delay_seconds for report in reports] == [2.0, 8.0]


def test_the_last_attempt_fails_and_says_that_a_retry_may_help() -> None:
    report = POLICY.after_fault(wanted(2), ItemTransient(ItemCode.IMAGE_TIMEOUT, "slow"))
    assert (report.result, report.code, report.retryable) == (
        Outcome.FAILED,
        "image_timeout",
        True,
    )


def test_a_lasting_fault_fails_at_once() -> None:
    report = POLICY.after_fault(wanted(), ItemPermanent(ItemCode.NOT_AN_IMAGE, "html"))
    assert (report.result, report.retryable) == (Outcome.FAILED, False)


@pytest.mark.parametrize(("asked", "given"), [(30.0, 30.0), (0.1, 2.0), (3600.0, 3600.0)])
def test_the_picture_servers_wish_is_honoured(asked: float, given: float) -> None:
    fault = ItemTransient(ItemCode.IMAGE_HTTP_ERROR, "429", retry_after=asked)
    assert POLICY.after_fault(wanted(), fault).delay_seconds == given


def test_jitter_spreads_delays_by_half() -> None:
    low, high = (
        RetryPolicy(3, 2.0, chance=lambda share=share: share).delay(0, None)  # type: ignore[misc]
        for share in (0.0, 1.0)
    )
    assert (low, high) == (1.0, 3.0)


def test_crashes_use_up_attempts() -> None:
    assert not POLICY.is_spent(wanted(2))
    assert POLICY.is_spent(wanted(3))
    assert crashed(wanted(3)).code == "internal_error"


def test_a_delete_lands_as_deleted() -> None:
    assert found_done(wanted(kind=Kind.DELETE), None, {}).result is Outcome.DELETED
    assert found_done(wanted(), None, {}).result is Outcome.INDEXED


def live(warning: str) -> StoredProduct:
    product = Product.model_validate({"id": "p", "name": "P", "image_url": "http://h/x"})
    return StoredProduct(product, 7, "2026-01-01T00:00:00", ImageFacts("0" * 64), (warning,))


def test_work_found_done_still_says_what_is_wrong_with_its_picture() -> None:
    report = found_done(wanted(), live("image_not_found"), {})
    assert (report.result, report.code) == (Outcome.INDEXED, "image_not_found")
    assert found_done(wanted(kind=Kind.DELTA), live("image_not_found"), {}).code == ""
    blank = found_done(wanted(), live("image_blank"), {})
    assert (blank.result, blank.code) == (Outcome.INDEXED, "image_blank")
    assert "one colour" in blank.message


@pytest.mark.parametrize("outcome", [Outcome.INDEXED, Outcome.UNCHANGED])
def test_what_changed_is_believed_only_of_a_sole_writer(outcome: Outcome) -> None:
    """Else another's write, of which no search was told, may be among what was compared with."""
    alone = wanted()
    changed = frozenset({Aspect.PRICE})
    planned = PlannedWrite(alone, Tombstone("shop", "p", 7), outcome, changed)
    stored = StoredRev(7, awaits_picture=False)
    believed = report_of(planned, stored, POLICY, {})
    assert believed is not None
    assert believed.changed == changed
    beside_others = replace(planned, wanted=replace(alone, sole_writer=False))
    doubted = report_of(beside_others, stored, POLICY, {})
    assert doubted is not None
    assert doubted.changed == EVERYTHING
