"""What leases, reports and jobs promise, whatever becomes of a worker."""

import threading
import time

import pytest
import redis

from shared.errors import InvalidCursor, LedgerUnavailable
from shared.ledger import Generations, Jobs, Ledger
from shared.ledger.connection import translated
from shared.models.change import (
    EVERYTHING,
    Change,
    Claim,
    Kind,
    Lane,
    Outcome,
    Report,
    Verdict,
)
from shared.models.job import JobState
from tests.integration.ledger.conftest import LEASE_SECONDS

TENANT = "shop"


def accept(ledger: Ledger, *ids: str, tenant: str = TENANT, lane: Lane = Lane.BULK) -> str:
    changes = [Change(i, product_id, Kind.PUT, None, "{}") for i, product_id in enumerate(ids)]
    return ledger.accept(tenant, lane, changes).job_id


def claim(ledger: Ledger, limit: int = 64) -> Claim:
    return ledger.claim(list(Lane), limit)


def ids(claimed: Claim) -> list[str]:
    return [wanted.product_id for wanted in claimed.wanted]


def report(
    ledger: Ledger,
    claimed: Claim,
    result: Outcome | Verdict = Outcome.INDEXED,
    *,
    code: str = "",
    delay: float = 0.0,
) -> None:
    ledger.report(
        claimed,
        [
            Report(
                w.tenant,
                w.product_id,
                w.rev,
                result,
                code,
                "line\nbreak",
                bool(code),
                delay,
                EVERYTHING,
            )
            for w in claimed.wanted
        ],
    )


def test_a_claimed_product_is_not_claimed_again_while_its_lease_lasts(ledger: Ledger) -> None:
    accept(ledger, "a")
    assert ids(claim(ledger)) == ["a"]
    assert ids(claim(ledger)) == []


def test_a_claim_tells_whether_more_is_due(ledger: Ledger) -> None:
    accept(ledger, "a", "b", "c")
    assert claim(ledger, 2).more
    assert not claim(ledger, 2).more


def test_singles_come_before_bulk(ledger: Ledger) -> None:
    accept(ledger, "b1", "b2", lane=Lane.BULK)
    accept(ledger, "s", lane=Lane.SINGLE)
    assert ids(ledger.claim([Lane.SINGLE, Lane.BULK], 2))[0] == "s"


def test_tenants_take_turns(ledger: Ledger) -> None:
    accept(ledger, *(f"a{i}" for i in range(10)), tenant="big")
    accept(ledger, "b", tenant="small")
    first, second = claim(ledger, 2), claim(ledger, 2)
    assert {w.tenant for w in (*first.wanted, *second.wanted)} == {"big", "small"}


def test_a_lost_lease_makes_a_suspect_and_counts_only_against_what_stood_alone(
    ledger: Ledger,
) -> None:
    accept(ledger, "a", "b")
    held = claim(ledger)
    assert not any(wanted.suspect for wanted in held.wanted)
    for alone, attempts in (("", (0, 0)), ("a", (0, 0)), ("b", (1, 0)), ("", (1, 1))):
        time.sleep(LEASE_SECONDS + 0.05)
        held = claim(ledger)
        assert all(wanted.suspect for wanted in held.wanted)
        assert tuple(wanted.attempts for wanted in held.wanted) == attempts
        for wanted in held.wanted:
            assert wanted.product_id != alone or ledger.stand_alone(held, wanted)


def test_what_was_reported_stands_alone_no_more(ledger: Ledger) -> None:
    accept(ledger, "a")
    held = claim(ledger)
    assert ledger.stand_alone(held, held.wanted[0])
    report(ledger, held, Verdict.RELEASE)
    assert not ledger.stand_alone(held, held.wanted[0])
    assert not claim(ledger).wanted[0].suspect
    time.sleep(LEASE_SECONDS + 0.05)
    (wanted,) = claim(ledger).wanted
    assert (wanted.suspect, wanted.attempts) == (True, 0)


def test_what_is_lost_again_and_again_counts_in_the_end(
    ledger: Ledger, client: redis.Redis
) -> None:
    """Else a product that kills its workers before it stands alone would kill them for ever."""
    accept(ledger, "a")
    for _ in range(102):
        (wanted,) = claim(ledger).wanted
        client.zadd(f"vitrine:due:{Lane.BULK}:{TENANT}", {"a": 0})
    assert wanted.attempts == 1


def test_a_renewed_lease_lasts(ledger: Ledger) -> None:
    accept(ledger, "a")
    held = claim(ledger)
    for _ in range(3):
        time.sleep(LEASE_SECONDS / 2)
        ledger.renew(held)
    assert ids(claim(ledger)) == []


def test_an_item_is_counted_once_however_often_it_is_reported(ledger: Ledger, jobs: Jobs) -> None:
    job_id = accept(ledger, "a")
    held = claim(ledger)
    for _ in range(3):
        report(ledger, held)
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert job.counts[Outcome.INDEXED] == 1
    assert job.state is JobState.SUCCEEDED


def test_an_item_that_has_ended_stays_so_though_its_wanted_state_comes_back(
    ledger: Ledger, jobs: Jobs, client: redis.Redis
) -> None:
    """As from a backup that is older than the job's end."""
    job_id = accept(ledger, "a", "b")
    wanted, due = f"vitrine:wanted:{TENANT}:a", f"vitrine:due:{Lane.BULK}:{TENANT}"
    held = claim(ledger, 1)
    assert ids(held) == ["a"]
    backup = client.hgetall(wanted)
    report(ledger, held)
    client.hset(wanted, mapping=backup)
    client.zadd(due, {"a": 0})
    report(ledger, held, Outcome.FAILED, code="image_timeout")
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert {outcome: count for outcome, count in job.counts.items() if count} == {
        Outcome.INDEXED: 1,
        Outcome.PENDING: 1,
    }
    assert jobs.item(TENANT, job).outcome is Outcome.INDEXED


def test_the_item_of_a_job_that_expires_as_it_is_read_is_none(
    ledger: Ledger, jobs: Jobs, client: redis.Redis
) -> None:
    job = jobs.get(TENANT, accept(ledger, "a"))
    assert job is not None
    client.delete(f"vitrine:items:{TENANT}:{job.job_id}")
    assert jobs.item(TENANT, job) is None


def test_a_worker_that_lost_its_lease_may_still_report_success_but_not_put_off(
    ledger: Ledger, jobs: Jobs, client: redis.Redis
) -> None:
    job_id = accept(ledger, "a")
    slow = claim(ledger)
    time.sleep(LEASE_SECONDS + 0.05)
    claim(ledger)
    wanted, due = f"vitrine:wanted:{TENANT}:a", f"vitrine:due:{Lane.BULK}:{TENANT}"
    before = client.hgetall(wanted), client.zscore(due, "a")
    report(ledger, slow, Verdict.RETRY, delay=100)
    assert (client.hgetall(wanted), client.zscore(due, "a")) == before
    report(ledger, slow)
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert job.finished


def test_what_a_slow_worker_lands_after_it_was_given_up_is_known_to_the_row(
    ledger: Ledger, jobs: Jobs, client: redis.Redis
) -> None:
    job_id = accept(ledger, "a")
    slow = claim(ledger)
    time.sleep(LEASE_SECONDS + 0.05)
    report(ledger, claim(ledger), Outcome.FAILED, code="internal_error")
    report(ledger, slow)
    status = ledger.product_status(TENANT, "a")
    assert status is not None
    assert (status.state, status.pending, status.last_error) == ("live", False, None)
    assert client.ttl(f"vitrine:row:{TENANT}:a") == -1
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert job.counts[Outcome.FAILED] == 1


def test_retry_counts_an_attempt_and_release_does_not(ledger: Ledger) -> None:
    accept(ledger, "a")
    report(ledger, claim(ledger), Verdict.RETRY)
    report(ledger, claim(ledger), Verdict.RELEASE)
    held = claim(ledger)
    assert held.wanted[0].attempts == 1


def test_a_put_off_product_is_due_after_its_delay_only(ledger: Ledger) -> None:
    accept(ledger, "a")
    report(ledger, claim(ledger), Verdict.RETRY, delay=0.3)
    assert ids(claim(ledger)) == []
    time.sleep(0.35)
    assert ids(claim(ledger)) == ["a"]


def test_failed_items_tell_why_and_the_product_remembers(ledger: Ledger, jobs: Jobs) -> None:
    job_id = accept(ledger, "a", "b", "c")
    held = claim(ledger, 1)
    report(ledger, held, Outcome.FAILED, code="image_timeout")
    report(ledger, claim(ledger))
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert job.state is JobState.PARTIALLY_FAILED
    (item,), cursor = jobs.items(TENANT, job, Outcome.FAILED, None, 10)
    assert (item.product_id, item.code, item.message) == (
        held.wanted[0].product_id,
        "image_timeout",
        "line\nbreak",
    )
    assert item.retryable
    assert item.attempts == 1
    assert cursor is None
    status = ledger.product_status(TENANT, item.product_id)
    assert status is not None
    assert status.last_error == {"code": "image_timeout", "message": "line\nbreak"}


def test_items_come_in_pages(ledger: Ledger, jobs: Jobs) -> None:
    job = jobs.get(TENANT, accept(ledger, *(f"p{i}" for i in range(25))))
    assert job is not None
    seen, cursor = [], None
    for _ in range(3):
        items, cursor = jobs.items(TENANT, job, None, cursor, 10)
        seen += [item.position for item in items]
    assert seen == list(range(25))
    assert cursor is None
    with pytest.raises(InvalidCursor):
        jobs.items(TENANT, job, None, "x", 10)


def test_a_landed_change_raises_its_tenants_generation_alone(
    ledger: Ledger, generations: Generations
) -> None:
    before, other = generations.current(TENANT), generations.current("other")
    accept(ledger, "a")
    held = claim(ledger)
    assert generations.current(TENANT) == before
    report(ledger, held)
    assert generations.current(TENANT) != before
    assert generations.current("other") == other


def test_an_outdated_report_of_a_write_still_raises_the_generation(
    ledger: Ledger, generations: Generations
) -> None:
    accept(ledger, "a")
    held = claim(ledger)
    accept(ledger, "a")
    before = generations.current(TENANT)
    report(ledger, held)
    assert generations.current(TENANT) != before


def test_waiting_ends_with_the_job(ledger: Ledger, jobs: Jobs) -> None:
    job_id = accept(ledger, "a")
    timer = threading.Timer(0.2, lambda: report(ledger, claim(ledger)))
    timer.start()
    started = time.monotonic()
    job = jobs.wait(TENANT, job_id, 60)
    assert job is not None
    assert job.finished
    assert time.monotonic() - started < 30
    timer.join()


def test_waiting_ends_with_the_time(ledger: Ledger, jobs: Jobs) -> None:
    job = jobs.wait(TENANT, accept(ledger, "a"), 0.2)
    assert job is not None
    assert job.state is JobState.QUEUED


def test_another_tenants_job_is_not_found(ledger: Ledger, jobs: Jobs) -> None:
    assert jobs.get("other", accept(ledger, "a")) is None


def test_the_backlog_counts_what_waits_and_what_is_due(ledger: Ledger) -> None:
    accept(ledger, "a", "b", "c")
    claim(ledger, 2)
    backlog = {b.lane: b for b in ledger.backlog()}
    assert (backlog[Lane.BULK].pending, backlog[Lane.BULK].due) == (3, 1)
    assert backlog[Lane.BULK].oldest_due == pytest.approx(time.time(), abs=5)
    assert backlog[Lane.FAST].oldest_due is None


def test_a_deleted_product_is_forgotten_when_its_tombstone_is_purged(
    ledger: Ledger, client: redis.Redis
) -> None:
    ledger.accept(TENANT, Lane.FAST, [Change.delete("a")])
    held = claim(ledger)
    report(ledger, held, Outcome.DELETED)
    assert ledger.purge_deleted(held.wanted[0].rev) == 0
    assert ledger.purge_deleted(held.wanted[0].rev + 1) == 1
    assert ledger.product_status(TENANT, "a") is None
    assert not list(client.scan_iter("vitrine:row:*"))


def test_a_purge_spares_what_is_wanted_again(ledger: Ledger) -> None:
    ledger.accept(TENANT, Lane.FAST, [Change.delete("a")])
    held = claim(ledger)
    report(ledger, held, Outcome.DELETED)
    accept(ledger, "a")
    assert ledger.purge_deleted(held.wanted[0].rev + 1) == 0
    assert ids(claim(ledger)) == ["a"]


def test_a_product_that_never_was_leaves_no_row_for_ever(
    ledger: Ledger, client: redis.Redis
) -> None:
    accept(ledger, "a")
    report(ledger, claim(ledger), Outcome.FAILED, code="image_not_found")
    assert client.ttl(f"vitrine:row:{TENANT}:a") > 0
    accept(ledger, "a")
    assert client.ttl(f"vitrine:row:{TENANT}:a") == -1


def test_a_row_at_rest_is_small(ledger: Ledger, client: redis.Redis) -> None:
    accept(ledger, "a")
    report(ledger, claim(ledger))
    assert client.object("encoding", f"vitrine:row:{TENANT}:a") == "listpack"


def test_a_product_that_is_pushed_again_keeps_its_place(ledger: Ledger) -> None:
    accept(ledger, *(f"p{i}" for i in range(10)))
    accept(ledger, "p3")
    accept(ledger, *(f"q{i}" for i in range(10)))
    accept(ledger, "p3")
    assert "p3" in ids(claim(ledger, 10))


def test_suspects_are_reached_though_their_lane_is_never_empty(ledger: Ledger) -> None:
    accept(ledger, "lost", lane=Lane.BULK)
    claim(ledger)
    time.sleep(LEASE_SECONDS + 0.05)
    seen: list[str] = []
    for at in range(4):
        accept(ledger, f"single{at}", lane=Lane.SINGLE)
        seen += ids(ledger.claim([Lane.SINGLE, Lane.BULK], 64))
    assert "lost" in seen


def test_generations_never_repeat_even_where_the_ledger_is_lost(
    ledger: Ledger, generations: Generations, client: redis.Redis
) -> None:
    accept(ledger, "a")
    report(ledger, claim(ledger))
    before = generations.current(TENANT)
    client.flushall()
    accept(ledger, "a")
    report(ledger, claim(ledger))
    assert generations.current(TENANT) != before


def test_an_ended_job_is_small(ledger: Ledger, client: redis.Redis) -> None:
    job_id = accept(ledger, "a")
    report(ledger, claim(ledger))
    assert 0 < client.ttl(f"vitrine:end:{TENANT}:{job_id}") <= 60
    kept = [f"vitrine:job:{TENANT}:{job_id}", f"vitrine:items:{TENANT}:{job_id}"]
    assert sum(client.memory_usage(key) for key in kept) < 700


def test_a_job_that_was_never_sealed_fades_away_and_is_not_brought_back(
    ledger: Ledger, jobs: Jobs, client: redis.Redis
) -> None:
    job_id = accept(ledger, "a")
    client.delete(f"vitrine:job:{TENANT}:{job_id}")
    report(ledger, claim(ledger))
    assert jobs.get(TENANT, job_id) is None


def test_a_due_entry_without_a_wanted_state_poisons_nothing(
    ledger: Ledger, client: redis.Redis
) -> None:
    accept(ledger, "a", "b")
    client.delete(f"vitrine:wanted:{TENANT}:a")
    assert ids(claim(ledger)) == ["b"]


@pytest.mark.parametrize("refusal", ["MISCONF", "NOREPLICAS", "BUSY"])
def test_refusals_that_pass_are_no_faults_of_ours(refusal: str) -> None:
    with pytest.raises(LedgerUnavailable), translated():
        raise redis.ResponseError(f"{refusal} for now")
