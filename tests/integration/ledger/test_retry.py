"""What a retry promises: the failed wish once more, and never over a newer one."""

import contextlib
import threading
import time

import pytest
import redis

from shared.errors import IdempotencyConflict, LedgerFull, LedgerUnavailable, NothingToRetry
from shared.ledger import Idempotency, Jobs, Ledger
from shared.models.change import Change, Claim, Kind, Lane, Outcome, Report
from shared.models.job import JobState, Retried

TENANT = "shop"


def put(product_id: str, version: int | None = None, body: str = "{}", position: int = 0) -> Change:
    return Change(position, product_id, Kind.PUT, version, body)


def accept(ledger: Ledger, *changes: Change, lane: Lane = Lane.BULK) -> str:
    return ledger.accept(TENANT, lane, changes).job_id


def settle(ledger: Ledger, result: Outcome = Outcome.INDEXED, *, retryable: bool = False) -> Claim:
    code = "image_timeout" if result is Outcome.FAILED else ""
    claimed = ledger.claim(list(Lane), 20_000)
    ledger.report(
        claimed,
        [
            Report(w.tenant, w.product_id, w.rev, result, code, "slow", retryable)
            for w in claimed.wanted
        ],
    )
    return claimed


def fail(ledger: Ledger) -> Claim:
    return settle(ledger, Outcome.FAILED, retryable=True)


def failed_job(ledger: Ledger, *changes: Change, lane: Lane = Lane.BULK) -> str:
    job_id = accept(ledger, *changes, lane=lane)
    fail(ledger)
    return job_id


def counts(jobs: Jobs, job_id: str) -> dict[Outcome, int]:
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert sum(job.counts.values()) == job.received
    return {outcome: count for outcome, count in job.counts.items() if count}


def nothing_is_kept(client: redis.Redis) -> bool:
    return not list(client.scan_iter("vitrine:kept*"))


def test_what_failed_is_wanted_again_as_it_was_but_newer(ledger: Ledger, jobs: Jobs) -> None:
    failed = accept(ledger, put("a", 3, '{"id":"a"}', position=7))
    (before,) = fail(ledger).wanted
    retried = ledger.retry(TENANT, failed, ["a"], request_id="again")
    assert (retried.accepted, retried.lanes) == (1, [Lane.BULK])
    assert counts(jobs, retried.job_id) == {Outcome.PENDING: 1}
    (wanted,) = settle(ledger).wanted
    assert (wanted.kind, wanted.body, wanted.attempts) == (Kind.PUT, '{"id":"a"}', 0)
    assert wanted.rev > before.rev
    assert wanted.request_id == "again"
    job = jobs.get(TENANT, retried.job_id)
    assert job is not None
    assert job.state is JobState.SUCCEEDED
    assert jobs.item(TENANT, job).position == 7
    assert counts(jobs, failed) == {Outcome.FAILED: 1}


def test_it_waits_in_the_lane_where_it_failed(ledger: Ledger) -> None:
    failed = failed_job(ledger, put("a"), lane=Lane.SINGLE)
    assert ledger.retry(TENANT, failed, ["a"]).lanes == [Lane.SINGLE]
    assert len(ledger.claim([Lane.SINGLE], 10).wanted) == 1


def test_a_delete_is_retried_too(ledger: Ledger) -> None:
    failed = failed_job(ledger, Change.delete("a"), lane=Lane.FAST)
    ledger.retry(TENANT, failed, ["a"])
    (wanted,) = settle(ledger, Outcome.DELETED).wanted
    assert (wanted.kind, wanted.body) == (Kind.DELETE, "")


def test_only_failures_that_may_pass_are_retried(ledger: Ledger, client: redis.Redis) -> None:
    failed = accept(ledger, put("a"))
    settle(ledger, Outcome.FAILED, retryable=False)
    assert nothing_is_kept(client)
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, failed, ["a"])


@pytest.mark.parametrize(
    "newer", [put("a", body="newer"), Change.delete("a"), put("a", 5, "newer")]
)
@pytest.mark.parametrize("end", [None, Outcome.INDEXED, Outcome.FAILED])
def test_a_newer_change_is_never_overwritten(
    ledger: Ledger, client: redis.Redis, newer: Change, end: Outcome | None
) -> None:
    failed = failed_job(ledger, put("a", 5, "older"), put("b", position=1))
    accept(ledger, newer)
    if end is not None:
        settle(ledger, end)
    rev = client.hget(f"vitrine:row:{TENANT}:a", "rev")
    retried = ledger.retry(TENANT, failed, ["a", "b"])
    assert retried.accepted == 1
    assert client.hget(f"vitrine:row:{TENANT}:a", "rev") == rev
    assert "older" not in [wanted.body for wanted in settle(ledger).wanted]


def test_a_newer_failure_is_not_an_older_jobs_to_retry(ledger: Ledger) -> None:
    older = failed_job(ledger, put("a", body="older"))
    newer = failed_job(ledger, put("a", body="newer"))
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, older, ["a"])
    ledger.retry(TENANT, newer, ["a"])
    assert [wanted.body for wanted in settle(ledger).wanted] == ["newer"]


def test_a_stale_change_leaves_the_failure_to_be_retried(ledger: Ledger) -> None:
    failed = failed_job(ledger, put("a", 5))
    accept(ledger, put("a", 4))
    assert ledger.retry(TENANT, failed, ["a"]).accepted == 1


def test_the_failed_version_may_be_pushed_again_while_its_retry_waits(
    ledger: Ledger, jobs: Jobs
) -> None:
    failed = failed_job(ledger, put("a", 5, "first"))
    retried = ledger.retry(TENANT, failed, ["a"])
    pushed = accept(ledger, put("a", 5, "second"))
    assert counts(jobs, retried.job_id) == {Outcome.SUPERSEDED: 1}
    assert [wanted.body for wanted in settle(ledger).wanted] == ["second"]
    assert counts(jobs, pushed) == {Outcome.INDEXED: 1}


def test_a_second_retry_finds_nothing_and_leaves_no_job(
    ledger: Ledger, client: redis.Redis
) -> None:
    failed = failed_job(ledger, put("a"))
    ledger.retry(TENANT, failed, ["a"])
    known = set(client.scan_iter("vitrine:*"))
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, failed, ["a"])
    assert set(client.scan_iter("vitrine:*")) == known
    assert len(settle(ledger).wanted) == 1


def test_what_fails_again_is_retried_through_its_newer_job(ledger: Ledger) -> None:
    first = failed_job(ledger, put("a"))
    second = ledger.retry(TENANT, first, ["a"]).job_id
    fail(ledger)
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, first, ["a"])
    assert ledger.retry(TENANT, second, ["a"]).accepted == 1


def test_simultaneous_retries_take_each_failure_once(ledger: Ledger, jobs: Jobs) -> None:
    ids = [f"p{i}" for i in range(1000)]
    failed = failed_job(ledger, *(put(product, position=i) for i, product in enumerate(ids)))
    found: list[Retried] = []

    def retry() -> None:
        with contextlib.suppress(NothingToRetry):
            found.append(ledger.retry(TENANT, failed, ids))

    threads = [threading.Thread(target=retry) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(retried.accepted for retried in found) == 1000
    assert len(settle(ledger).wanted) == 1000
    for retried in found:
        assert counts(jobs, retried.job_id) == {Outcome.INDEXED: retried.accepted}


def test_an_idempotency_key_gives_the_same_retry(ledger: Ledger) -> None:
    failed, other = failed_job(ledger, put("a")), failed_job(ledger, put("b"))
    key = Idempotency.of("k", f"POST /jobs/{failed}/retry", b"")
    first = ledger.retry(TENANT, failed, ["a"], idempotency=key)
    again = ledger.retry(TENANT, failed, ["a"], idempotency=key)
    assert (again.job_id, again.accepted) == (first.job_id, 1)
    with pytest.raises(IdempotencyConflict):
        ledger.retry(
            TENANT,
            other,
            ["b"],
            idempotency=Idempotency.of("k", f"POST /jobs/{other}/retry", b""),
        )


def test_a_key_that_found_nothing_may_be_used_when_there_is_something(ledger: Ledger) -> None:
    key = Idempotency.of("k", "POST /retry", b"")
    job_id = accept(ledger, put("a"))
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, job_id, ["a"], idempotency=key)
    fail(ledger)
    assert ledger.retry(TENANT, job_id, ["a"], idempotency=key).accepted == 1


def test_a_retry_cut_short_is_completed_by_its_repeat(
    ledger: Ledger, jobs: Jobs, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"p{i}" for i in range(600)]
    failed = failed_job(ledger, *(put(product, position=i) for i, product in enumerate(ids)))
    key = Idempotency.of("k", "POST /retry", b"")
    run, calls = ledger._run, 0

    def die_at_the_third_script(name: str, *arguments: object) -> object:
        nonlocal calls
        calls += name == "retry"
        if calls == 3:
            raise LedgerUnavailable("cut")
        return run(name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_run", die_at_the_third_script)
        with pytest.raises(LedgerUnavailable):
            ledger.retry(TENANT, failed, ids, idempotency=key)
    # Part of it is done before the repeat comes.
    assert len(settle(ledger).wanted) == 500
    retried = ledger.retry(TENANT, failed, ids, idempotency=key)
    assert retried.accepted == 600
    assert counts(jobs, retried.job_id) == {Outcome.INDEXED: 500, Outcome.PENDING: 100}
    assert client.ttl(f"vitrine:job:{TENANT}:{retried.job_id}") == -1
    assert client.ttl(f"vitrine:items:{TENANT}:{retried.job_id}") == -1
    settle(ledger)
    assert counts(jobs, retried.job_id) == {Outcome.INDEXED: 600}


def test_tenants_retry_their_own_failures_only(ledger: Ledger) -> None:
    failed = failed_job(ledger, put("a"))
    with pytest.raises(NothingToRetry):
        ledger.retry("other", failed, ["a"])


def test_the_product_waits_again_and_still_tells_its_last_error(ledger: Ledger) -> None:
    failed = failed_job(ledger, put("a"))
    ledger.retry(TENANT, failed, ["a"])
    status = ledger.product_status(TENANT, "a")
    assert status is not None
    assert status.pending
    assert status.last_error == {"code": "image_timeout", "message": "slow"}
    settle(ledger)
    status = ledger.product_status(TENANT, "a")
    assert status is not None
    assert (status.pending, status.last_error) == (False, None)


def test_what_is_kept_fades_and_what_is_wanted_again_does_not(
    ledger: Ledger, client: redis.Redis
) -> None:
    failed = failed_job(ledger, put("a"))
    assert 0 < client.ttl(f"vitrine:kept:{TENANT}:a") <= 600
    assert 0 < client.ttl("vitrine:kept") <= 600
    ledger.retry(TENANT, failed, ["a"])
    assert client.ttl(f"vitrine:wanted:{TENANT}:a") == -1
    assert client.ttl(f"vitrine:row:{TENANT}:a") == -1
    assert nothing_is_kept(client)


def test_what_is_no_longer_kept_is_not_retried(ledger: Ledger, client: redis.Redis) -> None:
    failed = failed_job(ledger, put("a"))
    client.delete(f"vitrine:kept:{TENANT}:a")
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, failed, ["a"])
    assert ledger.claim(list(Lane), 10).wanted == []


def test_a_newer_change_releases_what_was_kept(ledger: Ledger, client: redis.Redis) -> None:
    failed_job(ledger, put("a", body="x" * 5000))
    accept(ledger, put("a"))
    assert nothing_is_kept(client)


def test_no_more_is_kept_than_may_wait_and_the_oldest_goes_first(client: redis.Redis) -> None:
    small = Ledger(client, lease_seconds=1, job_retention_seconds=600, max_pending=3)
    for product in ("a", "b", "c", "d", "e"):
        failed_job(small, put(product))
    small._capacity_checked = float("-inf")
    accept(small, put("f"))
    assert client.zrange("vitrine:kept", 0, -1) == [f"{TENANT}/{name}" for name in "cde"]
    assert len(list(client.scan_iter("vitrine:kept:*"))) == 3


def test_what_is_kept_gives_way_before_a_change_is_refused(
    ledger: Ledger, client: redis.Redis
) -> None:
    ids = [f"p{i}" for i in range(2000)]
    failed_job(ledger, *(put(product, None, "x" * 4000, i) for i, product in enumerate(ids)))
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", str(int(used / 0.8)))
    try:
        ledger._capacity_checked = float("-inf")
        accept(ledger, put("new"))
    finally:
        client.config_set("maxmemory", "1gb")
    assert 0 < client.zcard("vitrine:kept") < 2000
    assert client.zcard("vitrine:kept") == len(list(client.scan_iter("vitrine:kept:*")))


def test_beyond_the_backlog_nothing_is_retried(client: redis.Redis) -> None:
    small = Ledger(client, lease_seconds=1, job_retention_seconds=600, max_pending=1)
    failed = failed_job(small, put("a"))
    accept(small, put("b"))
    with pytest.raises(LedgerFull):
        small.retry(TENANT, failed, ["a"])


def test_a_purge_spares_the_row_of_what_may_be_retried(ledger: Ledger) -> None:
    accept(ledger, Change.delete("a"), lane=Lane.FAST)
    settle(ledger, Outcome.DELETED)
    failed = accept(ledger, put("a"))
    (wanted,) = fail(ledger).wanted
    assert ledger.purge_deleted(wanted.rev + 1) == 0
    assert ledger.retry(TENANT, failed, ["a"]).accepted == 1


def test_a_late_report_of_the_failed_attempt_settles_no_retry(ledger: Ledger, jobs: Jobs) -> None:
    failed = accept(ledger, put("a"))
    late = fail(ledger)
    retried = ledger.retry(TENANT, failed, ["a"])
    ledger.report(late, [Report(TENANT, "a", late.wanted[0].rev, Outcome.INDEXED)])
    assert counts(jobs, retried.job_id) == {Outcome.PENDING: 1}


def test_ten_thousand_failures_are_retried_without_stopping_the_others(
    ledger: Ledger, jobs: Jobs
) -> None:
    ids = [f"p{i}" for i in range(10_000)]
    failed = failed_job(ledger, *(put(product, position=i) for i, product in enumerate(ids)))
    slowest = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal slowest
        while not done.is_set():
            started = time.perf_counter()
            ledger.ping()
            slowest = max(slowest, time.perf_counter() - started)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        retried = ledger.retry(TENANT, failed, ids)
    finally:
        done.set()
        watcher.join()
    assert retried.accepted == 10_000
    assert counts(jobs, retried.job_id) == {Outcome.PENDING: 10_000}
    assert slowest < 5  # seconds; a script for all 10,000 in one would take as long as the rest


def test_a_failed_patch_is_retried_for_all_that_was_merged_into_it(
    ledger: Ledger, jobs: Jobs
) -> None:
    accept(ledger, put("a"))
    settle(ledger)
    first = accept(ledger, Change(0, "a", Kind.DELTA, None, '{"price":1}'), lane=Lane.FAST)
    second = accept(ledger, Change(0, "a", Kind.DELTA, None, '{"name":"x"}'), lane=Lane.FAST)
    fail(ledger)
    retried = ledger.retry(TENANT, first, ["a"])
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, second, ["a"])
    (wanted,) = settle(ledger).wanted
    assert (wanted.kind, list(wanted.deltas)) == (Kind.DELTA, ['{"price":1}', '{"name":"x"}'])
    assert counts(jobs, retried.job_id) == {Outcome.INDEXED: 1}


def test_a_patch_is_newer_than_the_failed_put_before_it(
    ledger: Ledger, client: redis.Redis
) -> None:
    accept(ledger, put("a"))
    settle(ledger)
    failed = failed_job(ledger, put("a", body="older"))
    accept(ledger, Change(0, "a", Kind.DELTA, None, '{"price":1}'), lane=Lane.FAST)
    assert nothing_is_kept(client)
    with pytest.raises(NothingToRetry):
        ledger.retry(TENANT, failed, ["a"])
