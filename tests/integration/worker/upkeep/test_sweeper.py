"""Doorbells on a real broker: rung, counted, lost, and done without."""

from collections.abc import Callable, Iterator

import pytest
import redis

from shared.doorbell import Doorbell, DoorbellFailed, celery_app
from shared.models.change import Change, Lane, Outcome
from tests.integration.worker.conftest import TENANT, Worker
from tests.pictures import picture
from tests.servers import RedisServer
from worker.upkeep.sweeper import Sweeper


@pytest.fixture
def doorbell(ledger_server: RedisServer) -> Iterator[Doorbell]:
    app = celery_app(ledger_server.url)
    yield Doorbell(app)
    app.close()


def sweeper_of(
    worker: Worker,
    doorbell: Doorbell,
    tombstone_days: float = 1.0,
    watch: Callable[[], object] = lambda: None,
) -> Sweeper:
    return Sweeper(
        ledger=worker.ledger,
        doorbell=doorbell,
        serve=worker.bells.serve,
        qdrant=worker.qdrant,
        lanes=[Lane.FAST, Lane.SINGLE, Lane.BULK],
        tombstone_days=tombstone_days,
        watch=watch,
    )


@pytest.mark.usefixtures("client")
def test_rings_are_counted_per_lane(doorbell: Doorbell) -> None:
    doorbell.ring(Lane.BULK)
    doorbell.ring(Lane.BULK)
    assert [doorbell.waiting(lane) for lane in (Lane.BULK, Lane.FAST)] == [2, 0]


def test_a_lost_message_is_rung_again_and_only_once(worker: Worker, doorbell: Doorbell) -> None:
    worker.push(worker.product("p", picture()))
    sweeper = sweeper_of(worker, doorbell)
    sweeper.sweep()
    sweeper.sweep()
    assert doorbell.waiting(Lane.BULK) == 1
    assert doorbell.waiting(Lane.FAST) == 0


def test_nobody_rings_where_nothing_is_due(worker: Worker, doorbell: Doorbell) -> None:
    worker.push(worker.product("p", picture()))
    worker.ledger.claim([Lane.BULK], 1)
    sweeper_of(worker, doorbell).sweep()
    assert doorbell.waiting(Lane.BULK) == 0


def test_without_a_broker_the_sweeper_does_the_work(worker: Worker) -> None:
    app = celery_app("redis://127.0.0.1:1/0")
    gone = Doorbell(app)
    with pytest.raises(DoorbellFailed):
        gone.ring(Lane.BULK)
    with pytest.raises(DoorbellFailed):
        gone.waiting(Lane.BULK)
    shared = picture()
    job_id = worker.push(*(worker.product(f"p{i}", shared) for i in range(70)))
    sweeper_of(worker, gone).sweep()
    assert worker.counts(job_id) == {Outcome.INDEXED: 70}
    app.close()


def test_a_full_ledger_drains(worker: Worker, doorbell: Doorbell, client: redis.Redis) -> None:
    job_id = worker.push(*(worker.product(f"p{i}", picture()) for i in range(5)))
    client.config_set("maxmemory", "1mb")
    try:
        sweeper_of(worker, doorbell).sweep()
    finally:
        client.config_set("maxmemory", "1gb")
    assert worker.counts(job_id) == {Outcome.INDEXED: 5}


def test_what_was_deleted_long_ago_is_buried(worker: Worker, doorbell: Doorbell) -> None:
    worker.ledger.accept(TENANT, Lane.FAST, [Change.delete("p")])
    worker.bells.serve()
    assert worker.qdrant.stored_revs([(TENANT, "p")])
    sweeper_of(worker, doorbell).purge()
    assert worker.qdrant.stored_revs([(TENANT, "p")])
    sweeper_of(worker, doorbell, tombstone_days=-0.001).purge()
    assert not worker.qdrant.stored_revs([(TENANT, "p")])
    assert worker.ledger.product_status(TENANT, "p") is None


def test_of_all_workers_one_buries_what_was_deleted_long_ago(
    worker: Worker, doorbell: Doorbell, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged = []
    monkeypatch.setattr(worker.qdrant, "purge_tombstones", purged.append)
    turn = f"vitrine:taken:purge:{worker.qdrant.collection}"
    workers = [sweeper_of(worker, doorbell) for _ in range(3)]
    client.config_set("maxmemory", "1mb")  # it frees memory, so it needs none
    try:
        for each in workers:
            each.purge_in_turn()
    finally:
        client.config_set("maxmemory", "1gb")
    assert len(purged) == 1
    # By the next round its turn is over.
    assert 0 < client.ttl(turn) < 3600
    client.delete(turn)
    workers[2].purge_in_turn()
    assert len(purged) == 2


def test_a_stopping_worker_takes_no_more(worker: Worker) -> None:
    job_id = worker.push(worker.product("p", picture()))
    worker.bells.close()
    assert not worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.PENDING: 1}


def test_a_lost_collection_fails_no_product_and_is_made_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.reconcile.reconciler.PAUSE_SECONDS", 0.0)
    worker.bells._pause._seconds = 0.0
    worker.qdrant._client.delete_collection(worker.qdrant.collection)
    job_id = worker.push(worker.product("p", picture()))
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
