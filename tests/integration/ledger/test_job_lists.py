"""The lists of a tenant's jobs: their order, their pages, and that they don't grow for ever."""

import time

import pytest
import redis

import shared.ledger.jobs
from shared.errors import InvalidCursor, LedgerUnavailable
from shared.ledger import Idempotency, Jobs, Ledger
from shared.models.change import Change, Kind, Lane, Outcome, Report
from shared.models.job import JobState

TENANT = "shop"


def accept(ledger: Ledger, *ids: str, tenant: str = TENANT) -> str:
    changes = [Change(i, product_id, Kind.PUT, None, "{}") for i, product_id in enumerate(ids)]
    return ledger.accept(tenant, Lane.BULK, changes).job_id


def settle(ledger: Ledger, fail: tuple[str, ...] = ()) -> None:
    claimed = ledger.claim(list(Lane), 1000)
    ledger.report(
        claimed,
        [
            Report(
                w.tenant,
                w.product_id,
                w.rev,
                Outcome.FAILED if w.product_id in fail else Outcome.INDEXED,
                "image_not_found" if w.product_id in fail else "",
            )
            for w in claimed.wanted
        ],
    )


def listed(jobs: Jobs, state: JobState | None = None, limit: int = 100) -> list[str]:
    """All pages."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = jobs.list_jobs(TENANT, state, cursor, limit)
        assert len(page) <= limit
        assert all(state in (None, job.state) for job in page)
        seen += [job.job_id for job in page]
        if cursor is None:
            return seen


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_jobs_are_listed_newest_first_page_by_page(ledger: Ledger, jobs: Jobs, limit: int) -> None:
    made = []
    for number in range(7):
        made.append(accept(ledger, f"p{number}"))
        if number % 3 == 0:
            settle(ledger)
    assert listed(jobs, limit=limit) == made[::-1]


def test_the_last_page_has_no_cursor(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, "a")
    accept(ledger, "b")
    assert jobs.list_jobs(TENANT, None, None, 2)[1] is None
    assert jobs.list_jobs(TENANT, None, None, 1)[1] is not None
    assert jobs.list_jobs("nobody", None, None, 1) == ([], None)


def test_jobs_are_listed_by_state(ledger: Ledger, jobs: Jobs) -> None:
    succeeded = accept(ledger, "a")
    partly = accept(ledger, "b", "c")
    failed = accept(ledger, "d")
    settle(ledger, fail=("c", "d"))
    running = accept(ledger, "e")
    ledger.claim(list(Lane), 10)
    queued = accept(ledger, "f")
    for state, job_id in (
        (JobState.SUCCEEDED, succeeded),
        (JobState.PARTIALLY_FAILED, partly),
        (JobState.FAILED, failed),
        (JobState.RUNNING, running),
        (JobState.QUEUED, queued),
    ):
        assert listed(jobs, state) == [job_id]


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_a_rare_state_is_found_over_pages_of_bounded_work(
    ledger: Ledger, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(shared.ledger.jobs, "_SCAN_JOBS", 3)
    monkeypatch.setattr(shared.ledger.jobs, "_LOOKED_AT", 6)
    failed = []
    for number in range(30):
        job_id = accept(ledger, f"p{number}")
        if number % 10 == 0:
            failed.append(job_id)
    settle(ledger, fail=("p0", "p10", "p20"))
    page, cursor = jobs.list_jobs(TENANT, JobState.FAILED, None, limit)
    assert page == []
    assert cursor is not None
    assert listed(jobs, JobState.FAILED, limit) == failed[::-1]


def test_another_tenants_jobs_are_not_listed(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, "a", tenant="other")
    own = accept(ledger, "a")
    assert listed(jobs) == [own]


def test_a_job_is_listed_once_it_is_promised(
    ledger: Ledger, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Idempotency.of("k", "POST /x", b"")
    changes = [Change(i, f"p{i}", Kind.PUT, None, "{}") for i in range(300)]
    run, opened = ledger._run, []

    def die_after_the_first_part(name: str, *arguments: object) -> object:
        if opened:
            raise LedgerUnavailable("cut")
        answer = run(name, *arguments)
        if name == "accept":
            opened.append(answer[0])
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_run", die_after_the_first_part)
        with pytest.raises(LedgerUnavailable):
            ledger.accept(TENANT, Lane.BULK, changes, idempotency=key)
    assert listed(jobs) == []
    assert jobs.get(TENANT, opened[0]) is None
    ledger.accept(TENANT, Lane.BULK, changes, idempotency=key)
    assert listed(jobs) == opened


def test_repeating_a_request_after_its_jobs_end_does_not_keep_the_job_for_ever(
    ledger: Ledger, jobs: Jobs, client: redis.Redis
) -> None:
    key = Idempotency.of("k", "POST /x", b"")
    change = Change(0, "a", Kind.PUT, None, "{}")
    job_id = ledger.accept(TENANT, Lane.BULK, [change], idempotency=key).job_id
    settle(ledger)
    ledger.accept(TENANT, Lane.BULK, [change], idempotency=key)
    assert client.ttl(f"vitrine:job:{TENANT}:{job_id}") > 0
    assert client.ttl(f"vitrine:items:{TENANT}:{job_id}") > 0
    assert listed(jobs) == [job_id]
    assert client.zcard(f"vitrine:jobs:open:{TENANT}") == 0


def test_expired_jobs_leave_the_lists(client: redis.Redis, jobs: Jobs) -> None:
    brief = Ledger(client, lease_seconds=1, job_retention_seconds=1, max_pending=1000)
    for number in range(20):
        accept(brief, f"p{number}")
    settle(brief)
    assert client.zcard(f"vitrine:jobs:ended:{TENANT}") == 20
    time.sleep(0.6)
    accept(brief, "later")
    settle(brief)
    time.sleep(0.6)
    # The first twenty have expired, the list has not.
    later = listed(jobs)
    assert len(later) == 1
    for number in range(10):
        accept(brief, f"q{number}")
        settle(brief)
    assert client.zcard(f"vitrine:jobs:ended:{TENANT}") <= 11
    time.sleep(1.1)
    assert not list(client.scan_iter("vitrine:jobs:*"))
    assert listed(jobs) == []


@pytest.mark.parametrize("cursor", ["x", "-1", "1", "1-", "1-XY", "1-a ", f"{10**16}-a", "١-a"])
def test_a_cursor_of_no_listing_is_refused(jobs: Jobs, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        jobs.list_jobs(TENANT, None, cursor, 10)
