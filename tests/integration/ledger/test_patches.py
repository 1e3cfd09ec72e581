"""Patches in the ledger: merged with what is wanted, refused where there is nothing to change."""

import time

import pytest

from shared.errors import LedgerFull, ProductNotFound
from shared.ledger import Generations, Idempotency, Jobs, Ledger
from shared.models.change import Aspect, Change, Claim, Kind, Lane, Outcome, Report, Verdict
from tests.integration.ledger.conftest import LEASE_SECONDS

TENANT = "shop"


def accept(ledger: Ledger, change: Change, lane: Lane = Lane.BULK) -> str:
    return ledger.accept(TENANT, lane, [change]).job_id


def put(version: int | None = None) -> Change:
    return Change(0, "p", Kind.PUT, version, '{"name":"x"}')


def patch(ledger: Ledger, **fields: object) -> str:
    return accept(ledger, Change.patch("p", fields), Lane.FAST)


def claim(ledger: Ledger) -> Claim:
    return ledger.claim(list(Lane), 64)


def settle(ledger: Ledger, outcome: Outcome = Outcome.INDEXED) -> Claim:
    held = claim(ledger)
    ledger.report(held, [Report(w.tenant, w.product_id, w.rev, outcome) for w in held.wanted])
    return held


def outcomes(jobs: Jobs, *job_ids: str) -> list[Outcome]:
    found = []
    for job_id in job_ids:
        job = jobs.get(TENANT, job_id)
        assert job is not None
        found.append(jobs.item(TENANT, job).outcome)
    return found


def test_a_patch_of_a_live_product_waits_in_the_fast_lane(ledger: Ledger) -> None:
    accept(ledger, put(version=5))
    settle(ledger)
    patch(ledger, price=3)
    (wanted,) = ledger.claim([Lane.FAST], 64).wanted
    assert (wanted.kind, wanted.deltas, wanted.version) == (Kind.DELTA, ['{"price":3}'], 5)


def test_ten_patches_are_one_piece_of_work_and_end_together(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, put())
    settle(ledger)
    ids = [patch(ledger, price=price) for price in range(10)]
    held = settle(ledger)
    assert len(held.wanted) == 1
    assert len(held.wanted[0].deltas) == 10
    assert outcomes(jobs, *ids) == [Outcome.INDEXED] * 10


def test_a_patch_is_merged_into_a_put_that_waits_and_keeps_its_lane(
    ledger: Ledger, jobs: Jobs
) -> None:
    first = accept(ledger, put(), Lane.BULK)
    second = patch(ledger, price=3)
    assert not ledger.claim([Lane.FAST], 64).wanted
    (wanted,) = settle(ledger).wanted
    assert (wanted.kind, wanted.body, wanted.deltas) == (
        Kind.PUT,
        '{"name":"x"}',
        ['{"price":3}'],
    )
    assert outcomes(jobs, first, second) == [Outcome.INDEXED, Outcome.INDEXED]


def test_a_patch_during_the_work_has_it_done_again_with_the_patch(
    ledger: Ledger, jobs: Jobs
) -> None:
    first = accept(ledger, put())
    old = claim(ledger)
    second = patch(ledger, price=3)
    ledger.report(old, [Report(TENANT, "p", old.wanted[0].rev, Outcome.INDEXED)])
    assert outcomes(jobs, first, second) == [Outcome.PENDING, Outcome.PENDING]
    (wanted,) = settle(ledger).wanted
    assert wanted.deltas == ['{"price":3}']
    assert outcomes(jobs, first, second) == [Outcome.INDEXED, Outcome.INDEXED]


def test_a_worker_can_learn_what_was_patched_of_what_it_holds(ledger: Ledger, jobs: Jobs) -> None:
    job = accept(ledger, put())
    held = claim(ledger)
    assert ledger.refresh(held, held.wanted) == held.wanted
    ids = [patch(ledger, price=price) for price in (1, 2)]
    (newest,) = ledger.refresh(held, held.wanted)
    assert newest is not None
    assert newest.deltas == ['{"price":1}', '{"price":2}']
    assert newest.sole_writer
    assert ledger.refresh(held, [newest]) == [newest]
    ledger.report(held, [Report(TENANT, "p", newest.rev, Outcome.INDEXED)])
    assert outcomes(jobs, job, *ids) == 3 * [Outcome.INDEXED]


@pytest.mark.parametrize("change", [put(), Change.delete("p")])
def test_a_worker_learns_that_what_it_holds_was_replaced(ledger: Ledger, change: Change) -> None:
    accept(ledger, put())
    held = claim(ledger)
    accept(ledger, change)
    assert ledger.refresh(held, held.wanted) == [None]


def test_a_worker_learns_nothing_of_what_another_holds_by_now(ledger: Ledger) -> None:
    accept(ledger, put())
    held = claim(ledger)
    time.sleep(LEASE_SECONDS + 0.1)
    other = claim(ledger)
    patch(ledger, price=1)
    assert ledger.refresh(held, held.wanted) == [None]
    (newest,) = ledger.refresh(other, other.wanted)
    assert newest is not None
    assert newest.deltas == ['{"price":1}']


@pytest.mark.parametrize("newer", [put(), Change.delete("p")])
def test_a_newer_put_or_delete_supersedes_patches(
    ledger: Ledger, jobs: Jobs, newer: Change
) -> None:
    accept(ledger, put())
    settle(ledger)
    job_id = patch(ledger, price=3)
    accept(ledger, newer)
    assert outcomes(jobs, job_id) == [Outcome.SUPERSEDED]
    assert claim(ledger).wanted[0].deltas == ()


def test_nothing_to_change_is_not_found_and_leaves_no_job(ledger: Ledger) -> None:
    for _ in range(2):
        with pytest.raises(ProductNotFound):
            ledger.accept(
                TENANT,
                Lane.FAST,
                [Change.patch("p", {"price": 3})],
                idempotency=Idempotency.of("k", "PATCH /p", b""),
            )
    accept(ledger, Change.delete("p"), Lane.FAST)
    with pytest.raises(ProductNotFound):
        patch(ledger, price=3)
    settle(ledger, Outcome.DELETED)
    with pytest.raises(ProductNotFound):
        patch(ledger, price=3)
    assert not claim(ledger).wanted


def test_a_product_that_failed_to_appear_can_not_be_patched(ledger: Ledger) -> None:
    accept(ledger, put())
    settle(ledger, Outcome.FAILED)
    with pytest.raises(ProductNotFound):
        patch(ledger, price=3)


def test_patches_of_one_product_do_not_pile_up_without_bound(ledger: Ledger) -> None:
    accept(ledger, put())
    settle(ledger)
    for _ in range(40):
        try:
            patch(ledger, description="x" * 7900)
        except LedgerFull:
            break
    else:
        pytest.fail("no bound")


def test_a_warning_stands_beside_the_outcome(ledger: Ledger, jobs: Jobs) -> None:
    job_id = accept(ledger, put())
    held = claim(ledger)
    rev = held.wanted[0].rev
    ledger.report(
        held, [Report(TENANT, "p", rev, Outcome.INDEXED, "image_not_found", "gone", True)]
    )
    job = jobs.get(TENANT, job_id)
    assert job is not None
    item = jobs.item(TENANT, job)
    assert (item.outcome, item.code, item.message) == (Outcome.INDEXED, "image_not_found", "gone")
    status = ledger.product_status(TENANT, "p")
    assert status is not None
    assert status.last_error is None


def test_items_with_a_warning_are_counted_once_beside_the_outcomes(
    ledger: Ledger, jobs: Jobs
) -> None:
    products = [Change(at, f"p{at}", Kind.PUT, None, '{"name":"x"}') for at in range(3)]
    job_id = ledger.accept(TENANT, Lane.BULK, products).job_id
    held = claim(ledger)
    told = [
        (Outcome.INDEXED, "image_not_found"),
        (Outcome.INDEXED, ""),
        (Outcome.FAILED, "image_not_found"),
    ]
    reports = [
        Report(TENANT, wanted.product_id, wanted.rev, outcome, code, "gone" if code else "")
        for wanted, (outcome, code) in zip(held.wanted, told, strict=True)
    ]
    for _ in range(2):
        ledger.report(held, reports)
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert job.with_warnings == 1
    assert (job.counts[Outcome.INDEXED], job.counts[Outcome.FAILED]) == (2, 1)
    assert sum(job.counts.values()) == job.received == 3


def test_what_others_may_have_written_is_told_to_the_worker(ledger: Ledger) -> None:
    """A worker may trust its comparison with the index only if nobody else can have written."""
    accept(ledger, put())
    first = claim(ledger)
    assert first.wanted[0].sole_writer
    accept(ledger, put())
    assert not claim(ledger).wanted[0].sole_writer


def test_what_nobody_has_taken_yet_nobody_can_have_written(ledger: Ledger) -> None:
    accept(ledger, put())
    patch(ledger, price=1)
    accept(ledger, put())
    (wanted,) = settle(ledger).wanted
    assert wanted.sole_writer
    patch(ledger, price=2)
    assert claim(ledger).wanted[0].sole_writer


def test_a_patch_beside_work_under_way_is_not_alone(ledger: Ledger) -> None:
    accept(ledger, put())
    held = claim(ledger)
    patch(ledger, price=1)
    ledger.report(held, [Report(TENANT, "p", held.wanted[0].rev, Outcome.INDEXED)])
    assert not claim(ledger).wanted[0].sole_writer


def test_a_patch_does_not_hide_that_the_lease_it_met_is_lost(ledger: Ledger) -> None:
    accept(ledger, put())
    accept(ledger, Change(0, "q", Kind.PUT, None, '{"name":"y"}'))
    claim(ledger)
    patch(ledger, price=1)
    assert not claim(ledger).wanted
    time.sleep(LEASE_SECONDS + 0.05)
    held = claim(ledger)
    assert [wanted.suspect for wanted in held.wanted] == [True, True]
    (patched,) = [wanted for wanted in held.wanted if wanted.product_id == "p"]
    assert ledger.stand_alone(held, patched)
    patch(ledger, price=2)
    time.sleep(LEASE_SECONDS + 0.05)
    found = {wanted.product_id: wanted for wanted in claim(ledger).wanted}
    assert (found["p"].attempts, found["q"].attempts) == (1, 0)


def test_what_was_patched_in_work_is_due_and_rung_for_once_its_worker_reports(
    ledger: Ledger,
) -> None:
    accept(ledger, put())
    held = claim(ledger)
    patch(ledger, price=1)
    outdated = [Report(TENANT, "p", held.wanted[0].rev, Outcome.INDEXED)]
    assert ledger.report(held, outdated) == [Lane.BULK]
    assert ledger.report(held, outdated) == []
    assert claim(ledger).wanted[0].deltas == ['{"price":1}']


@pytest.mark.parametrize(("result", "attempts"), [(Verdict.RETRY, 1), (Outcome.FAILED, 0)])
def test_what_was_patched_in_work_keeps_its_attempts_and_its_delay(
    ledger: Ledger, result: Outcome | Verdict, attempts: int
) -> None:
    accept(ledger, put())
    held = claim(ledger)
    patch(ledger, price=1)
    rev = held.wanted[0].rev
    assert ledger.report(held, [Report(TENANT, "p", rev, result, delay_seconds=0.2)]) == []
    assert not claim(ledger).wanted
    time.sleep(0.25)
    assert claim(ledger).wanted[0].attempts == attempts


def test_a_second_try_is_not_alone(ledger: Ledger) -> None:
    accept(ledger, put())
    held = claim(ledger)
    ledger.report(held, [Report(TENANT, "p", held.wanted[0].rev, Verdict.RELEASE)])
    assert not claim(ledger).wanted[0].sole_writer


def test_only_what_changed_gets_another_generation(
    ledger: Ledger, generations: Generations
) -> None:
    accept(ledger, put())
    first = claim(ledger)
    landed = Report(TENANT, "p", first.wanted[0].rev, Outcome.INDEXED, changed={Aspect.PRICE})
    ledger.report(first, [landed])
    before = generations.current(TENANT)
    accept(ledger, put())
    held = claim(ledger)
    rev = held.wanted[0].rev
    ledger.report(
        held, [Report(TENANT, "p", rev, Outcome.INDEXED, changed={Aspect.PRICE, Aspect.SHOWN})]
    )
    after = generations.current(TENANT)
    assert before is not None
    assert after is not None
    assert {aspect for aspect in Aspect if before[aspect] != after[aspect]} == {
        Aspect.PRICE,
        Aspect.SHOWN,
    }


def test_after_a_failure_a_worker_is_not_alone(ledger: Ledger) -> None:
    """Whoever was slow when it was given up may have written it since."""
    accept(ledger, put())
    settle(ledger)
    accept(ledger, put())
    settle(ledger, Outcome.FAILED)
    patch(ledger, price=1)
    assert not settle(ledger).wanted[0].sole_writer
    patch(ledger, price=2)
    assert claim(ledger).wanted[0].sole_writer


def test_a_patch_does_not_clear_a_product_whose_lease_was_lost(ledger: Ledger) -> None:
    accept(ledger, put())
    slow = claim(ledger)
    time.sleep(LEASE_SECONDS + 0.05)
    patch(ledger, price=1)
    ledger.renew(slow)
    accept(ledger, Change(0, "q", Kind.PUT, None, '{"name":"y"}'))
    held = claim(ledger)
    found = {wanted.product_id: wanted for wanted in held.wanted}
    assert (found["p"].suspect, found["q"].suspect) == (True, False)
    assert ledger.stand_alone(held, found["p"])
    time.sleep(LEASE_SECONDS + 0.05)
    patch(ledger, price=2)
    found = {wanted.product_id: wanted for wanted in claim(ledger).wanted}
    assert found["p"].attempts == 1
