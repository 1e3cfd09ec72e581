"""A ledger that comes back empty while workers run."""

import shutil
from pathlib import Path

import pytest

from shared.doorbell import Doorbell, celery_app
from shared.ledger import LedgerLoss, connect
from shared.ledger.ledger import Ledger
from shared.models.change import Lane
from tests.integration.operations.conftest import live, product
from tests.servers import EmbeddedQdrantProcess, RedisServer
from tests.waiting import wait_until
from worker.upkeep.ledger_watch import LedgerWatch
from worker.upkeep.sweeper import Sweeper


def test_a_redis_that_comes_back_empty_is_noticed_by_workers_that_run(
    qdrant_server: EmbeddedQdrantProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("worker.upkeep.sweeper.CHECK_SECONDS", 0.0)
    monkeypatch.setattr("worker.upkeep.sweeper.SWEEP_SECONDS", 0.05)
    server = RedisServer(tmp_path / "redis")
    server.start()
    client = connect(server.url)
    ledger = Ledger(client, lease_seconds=9, job_retention_seconds=600, max_pending=1000)
    qdrant = qdrant_server.empty_collection()
    loss = LedgerLoss(client, qdrant.collection)
    watch = LedgerWatch(loss, qdrant)
    app = celery_app(server.url)
    sweeper = Sweeper(
        ledger=ledger,
        doorbell=Doorbell(app),
        serve=lambda: False,
        qdrant=qdrant,
        lanes=[Lane.BULK],
        tombstone_days=1.0,
        watch=watch.check,
    )
    assert not watch.check()
    qdrant.upsert_product(live(product("p"), 5))
    sweeper.start()
    try:
        server.kill9()
        shutil.rmtree(tmp_path / "redis")
        server.start()
        wait_until(loss.is_lost)
        assert not loss.knows_all()
        # It is logged once, however often it is seen.
        client.delete(f"vitrine:lost:{qdrant.collection}")
        wait_until(loss.is_lost)
        # On stderr if a command's test in this process has set the logs up before.
        assert "".join(capsys.readouterr()).count("make rebuild-ledger") == 1
        loss.note_all_known()
        wait_until(lambda: not loss.is_lost())
        assert not watch.check()
    finally:
        sweeper.stop()
        app.close()
        client.close()
        qdrant.close()
        server.stop()
