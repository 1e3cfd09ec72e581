"""What acceptance promises: order, versions, superseding, idempotency, and room."""

import threading

import pytest
import redis

from shared.errors import IdempotencyConflict, LedgerFull, LedgerUnavailable
from shared.ledger import Idempotency, Jobs, Ledger, connect
from shared.models.change import Change, Claim, Kind, Lane, Outcome, Report, Verdict

TENANT = "shop"


def put(product_id: str, version: int | None = None, body: str = "{}", position: int = 0) -> Change:
    return Change(position, product_id, Kind.PUT, version, body)


def accept(ledger: Ledger, *changes: Change, lane: Lane = Lane.BULK) -> str:
    return ledger.accept(TENANT, lane, changes).job_id


def claim(ledger: Ledger, limit: int = 64) -> Claim:
    return ledger.claim(list(Lane), limit)


def settle(ledger: Ledger, outcome: Outcome = Outcome.INDEXED, code: str = "") -> Claim:
    claimed = claim(ledger)
    ledger.report(
        claimed,
        [Report(w.tenant, w.product_id, w.rev, outcome, code, "why") for w in claimed.wanted],
    )
    return claimed


def counts(jobs: Jobs, job_id: str) -> dict[Outcome, int]:
    job = jobs.get(TENANT, job_id)
    assert job is not None
    assert sum(job.counts.values()) == job.received
    return {outcome: count for outcome, count in job.counts.items() if count}


def test_an_accepted_put_is_claimed_with_its_body(ledger: Ledger) -> None:
    accept(ledger, put("p", body='{"name":"x"}'))
    (wanted,) = claim(ledger).wanted
    assert (wanted.tenant, wanted.product_id, wanted.kind) == (TENANT, "p", Kind.PUT)
    assert wanted.body == '{"name":"x"}'


def test_two_shops_want_the_same_product_apart(ledger: Ledger, jobs: Jobs) -> None:
    for tenant in (TENANT, "other"):
        ledger.accept(tenant, Lane.BULK, [put("p", body=f'{{"name":"{tenant}"}}')])
    wanted = claim(ledger).wanted
    assert {each.tenant: each.body for each in wanted} == {
        TENANT: f'{{"name":"{TENANT}"}}',
        "other": '{"name":"other"}',
    }
    listed, _ = jobs.list_jobs(TENANT, None, None, 10)
    assert [job.counts[Outcome.PENDING] for job in listed] == [1]


def test_revs_rise_even_within_one_microsecond(ledger: Ledger) -> None:
    revs = []
    for _ in range(50):
        accept(ledger, put("p"), put("p", position=1))
        revs += [wanted.rev for wanted in claim(ledger).wanted]
    assert revs == sorted(set(revs))


def test_revs_rise_even_where_the_clock_is_set_back(ledger: Ledger, client: redis.Redis) -> None:
    accept(ledger, put("p"))
    (before,) = settle(ledger).wanted
    ahead = before.rev + 3600 * 1_000_000
    client.hset(f"vitrine:row:{TENANT}:p", "rev", ahead)
    revs = []
    for _ in range(3):
        accept(ledger, put("p"))
        revs += [wanted.rev for wanted in settle(ledger).wanted]
    assert revs == [ahead + 1, ahead + 2, ahead + 3]


@pytest.mark.parametrize(
    ("stored", "sent", "taken"),
    [(5, 6, True), (5, 5, False), (5, 4, False), (5, None, True), (None, 0, True)],
)
def test_a_put_with_a_version_is_taken_only_if_it_is_higher(
    ledger: Ledger, jobs: Jobs, stored: int | None, sent: int | None, taken: bool
) -> None:
    accept(ledger, put("p", stored))
    settle(ledger)
    job_id = accept(ledger, put("p", sent))
    expected = Outcome.PENDING if taken else Outcome.STALE
    assert counts(jobs, job_id) == {expected: 1}


def test_an_equal_version_is_taken_again_after_a_failure(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, put("p", 5))
    settle(ledger, Outcome.FAILED, "image_not_found")
    assert counts(jobs, accept(ledger, put("p", 5))) == {Outcome.PENDING: 1}


def test_a_failed_version_can_be_sent_again_after_a_patch_has_landed(
    ledger: Ledger, jobs: Jobs
) -> None:
    accept(ledger, put("p", 3))
    settle(ledger)
    accept(ledger, put("p", 5))
    settle(ledger, Outcome.FAILED, "image_not_found")
    accept(ledger, Change.patch("p", {"price": 1}))
    settle(ledger)
    assert counts(jobs, accept(ledger, put("p", 4))) == {Outcome.STALE: 1}
    assert counts(jobs, accept(ledger, put("p", 5))) == {Outcome.PENDING: 1}
    settle(ledger)
    assert counts(jobs, accept(ledger, put("p", 5))) == {Outcome.STALE: 1}


def test_a_version_that_left_the_old_picture_can_be_sent_again(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, put("p", 4))
    settle(ledger, Outcome.INDEXED, "image_unreachable")
    assert counts(jobs, accept(ledger, put("p", 4))) == {Outcome.PENDING: 1}
    settle(ledger)
    assert counts(jobs, accept(ledger, put("p", 4))) == {Outcome.STALE: 1}


def test_a_put_without_a_version_keeps_the_stored_one(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, put("p", 5))
    settle(ledger)
    accept(ledger, put("p"))
    settle(ledger)
    assert counts(jobs, accept(ledger, put("p", 5))) == {Outcome.STALE: 1}


def test_versions_near_the_limit_are_told_apart(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, put("p", 2**53 - 2))
    settle(ledger)
    assert counts(jobs, accept(ledger, put("p", 2**53 - 1))) == {Outcome.PENDING: 1}


def test_a_delete_obeys_versions_too(ledger: Ledger, jobs: Jobs) -> None:
    accept(ledger, put("p", 5))
    settle(ledger)
    job_id = accept(ledger, Change.delete("p", 4), lane=Lane.FAST)
    assert counts(jobs, job_id) == {Outcome.STALE: 1}


def test_a_replaced_put_ends_as_superseded(ledger: Ledger, jobs: Jobs) -> None:
    first = accept(ledger, put("p", body="1"))
    second = accept(ledger, put("p", body="2"))
    assert counts(jobs, first) == {Outcome.SUPERSEDED: 1}
    (wanted,) = settle(ledger).wanted
    assert wanted.body == "2"
    assert counts(jobs, second) == {Outcome.INDEXED: 1}


def test_the_same_id_twice_in_one_call_leaves_the_later_one(ledger: Ledger, jobs: Jobs) -> None:
    job_id = accept(ledger, put("p", body="1"), put("p", body="2", position=1))
    (wanted,) = settle(ledger).wanted
    assert wanted.body == "2"
    assert counts(jobs, job_id) == {Outcome.SUPERSEDED: 1, Outcome.INDEXED: 1}


def test_a_put_replaced_while_in_work_is_claimed_at_once_and_its_report_settles_nothing(
    ledger: Ledger, jobs: Jobs
) -> None:
    accept(ledger, put("p", body="1"))
    old = claim(ledger)
    second = accept(ledger, put("p", body="2"))
    new = claim(ledger)
    assert [wanted.body for wanted in new.wanted] == ["2"]
    ledger.report(old, [Report(TENANT, "p", old.wanted[0].rev, Outcome.INDEXED)])
    assert counts(jobs, second) == {Outcome.PENDING: 1}


def test_a_change_of_lane_moves_the_product(ledger: Ledger) -> None:
    accept(ledger, put("p"), lane=Lane.BULK)
    accept(ledger, Change.delete("p"), lane=Lane.FAST)
    assert not ledger.claim([Lane.SINGLE, Lane.BULK], 64).wanted
    (wanted,) = ledger.claim([Lane.FAST], 64).wanted
    assert wanted.kind is Kind.DELETE


def test_ten_thousand_items_are_one_job_with_every_position(ledger: Ledger, jobs: Jobs) -> None:
    job_id = accept(ledger, *(put(f"p{i}", position=i) for i in range(10_000)))
    assert counts(jobs, job_id) == {Outcome.PENDING: 10_000}
    job = jobs.get(TENANT, job_id)
    assert job is not None
    items, cursor = jobs.items(TENANT, job, Outcome.PENDING, None, 10_000)
    assert [item.position for item in items] == list(range(10_000))
    assert cursor is None


def test_an_idempotency_key_gives_the_same_job_and_conflicts_on_another_body(
    ledger: Ledger,
) -> None:
    key = Idempotency.of("k", "POST /x", b"1")
    first = ledger.accept(TENANT, Lane.BULK, [put("p")], idempotency=key)
    again = ledger.accept(TENANT, Lane.BULK, [put("p")], idempotency=key)
    assert again.job_id == first.job_id
    assert len(claim(ledger).wanted) == 1
    others = ledger.accept("other", Lane.BULK, [put("p")], idempotency=key)
    assert others.job_id != first.job_id
    with pytest.raises(IdempotencyConflict):
        ledger.accept(
            TENANT, Lane.BULK, [put("p")], idempotency=Idempotency.of("k", "POST /x", b"2")
        )


def test_simultaneous_posts_with_one_key_make_one_job(ledger: Ledger, jobs: Jobs) -> None:
    key = Idempotency.of("k", "POST /x", b"1")
    changes = [put(f"p{i}", position=i) for i in range(600)]
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                ledger.accept(TENANT, Lane.BULK, changes, idempotency=key).job_id
            )
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert counts(jobs, found[0]) == {Outcome.PENDING: 600}


def test_an_acceptance_cut_short_is_completed_by_its_repeat(
    ledger: Ledger, jobs: Jobs, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Idempotency.of("k", "POST /x", b"1")
    changes = [put(f"p{i}", position=i) for i in range(600)]
    run, calls = ledger._run, 0

    def die_at_the_third_script(name: str, *arguments: object) -> object:
        nonlocal calls
        calls += name == "accept"
        if calls == 3:
            raise LedgerUnavailable("cut")
        return run(name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_run", die_at_the_third_script)
        with pytest.raises(LedgerUnavailable):
            ledger.accept(TENANT, Lane.BULK, changes, idempotency=key)
    job_id = ledger.accept(TENANT, Lane.BULK, changes, idempotency=key).job_id
    assert counts(jobs, job_id) == {Outcome.PENDING: 600}
    assert client.ttl(f"vitrine:job:{TENANT}:{job_id}") == -1


def test_a_lane_is_woken_once_for_all_that_becomes_due_in_it(ledger: Ledger) -> None:
    def wakes(product_id: str, lane: Lane = Lane.BULK, tenant: str = TENANT) -> Lane | None:
        return ledger.accept(tenant, lane, [put(product_id)]).wakes

    assert wakes("a") is Lane.BULK
    assert wakes("b") is None
    assert wakes("c", Lane.SINGLE) is Lane.SINGLE
    assert wakes("a", tenant="other") is None
    claim(ledger)
    assert wakes("d") is Lane.BULK, "whoever claimed has not seen it"


def test_what_became_due_by_itself_keeps_no_bell_from_being_rung(ledger: Ledger) -> None:
    accept(ledger, put("a"))
    held = claim(ledger)
    ledger.report(held, [Report(TENANT, "a", held.wanted[0].rev, Verdict.RETRY)])
    assert ledger.accept(TENANT, Lane.BULK, [put("b")]).wakes is Lane.BULK


def test_a_patch_wakes_the_lane_where_its_product_waits_unless_it_is_in_work(
    ledger: Ledger,
) -> None:
    accept(ledger, put("a"), put("b", position=1))
    (taken,) = ledger.claim([Lane.BULK], 1).wanted
    assert taken.product_id == "a"
    wakes = [
        ledger.accept(TENANT, Lane.FAST, [Change.patch(name, {"price": 1})]).wakes for name in "ab"
    ]
    assert wakes == [None, Lane.BULK]


def test_a_repeated_acceptance_wakes_nobody(ledger: Ledger) -> None:
    key = Idempotency.of("k", "POST /x", b"1")
    assert ledger.accept(TENANT, Lane.BULK, [put("p")], idempotency=key).wakes
    claim(ledger)
    assert not ledger.accept(TENANT, Lane.BULK, [put("p")], idempotency=key).wakes


def test_beyond_the_backlog_nothing_is_accepted(client: redis.Redis) -> None:
    small = Ledger(client, lease_seconds=1, job_retention_seconds=600, max_pending=2)
    accept(small, put("a"), put("b", position=1))
    small._capacity_checked = float("-inf")
    with pytest.raises(LedgerFull):
        accept(small, put("c"))


def test_the_repeat_of_an_accepted_request_is_answered_even_when_full(client: redis.Redis) -> None:
    small = Ledger(client, lease_seconds=1, job_retention_seconds=600, max_pending=1)
    key = Idempotency.of("k", "POST /x", b"1")
    first = small.accept(TENANT, Lane.BULK, [put("a")], idempotency=key)
    small._capacity_checked = float("-inf")
    assert small.accept(TENANT, Lane.BULK, [put("a")], idempotency=key).job_id == first.job_id
    with pytest.raises(LedgerFull):
        accept(small, put("b"))


def test_short_memory_refuses_changes_but_takes_reports(
    ledger: Ledger, jobs: Jobs, client: redis.Redis
) -> None:
    job_id = accept(ledger, put("p"))
    claimed = claim(ledger)
    ledger._capacity_checked = float("-inf")
    client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(LedgerFull):
            accept(ledger, put("q"))
        ledger.report(claimed, [Report(TENANT, "p", claimed.wanted[0].rev, Outcome.INDEXED)])
    finally:
        client.config_set("maxmemory", "1gb")
    assert counts(jobs, job_id) == {Outcome.INDEXED: 1}


def test_a_server_that_is_gone_is_named_as_such() -> None:
    nobody = connect("redis://127.0.0.1:1/0", timeout=0.2)
    gone = Ledger(nobody, lease_seconds=1, job_retention_seconds=600, max_pending=10)
    with pytest.raises(LedgerUnavailable):
        accept(gone, put("p"))
