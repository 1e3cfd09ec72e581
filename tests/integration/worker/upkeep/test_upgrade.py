"""The upgrade of what an earlier release wrote: against the embedded Qdrant, killed meanwhile."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from tests.servers import EmbeddedQdrantProcess
from tests.waiting import wait_until
from worker.upkeep.upgrade import IndexUpgrade


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedQdrantProcess]:
    server = EmbeddedQdrantProcess(tmp_path / "qdrant")
    server.start()
    yield server
    server.stop()


def write_as_before(service: QdrantService, url: str) -> None:
    """A product without terms."""
    payload = {"tenant": "shop", "product_id": "p", "rev": 1, "attributes": {}}
    point = {"id": str(uuid.uuid4()), "vector": {"image": [1.0] + [0.0] * 511}, "payload": payload}
    address = f"{url}/collections/{service.collection}/points?wait=true"
    httpx.put(address, json={"points": [point]}, timeout=60).raise_for_status()


def has_ended() -> bool:
    return all(thread.name != "index-upgrade" for thread in threading.enumerate())


def test_an_outage_delays_the_upgrade_and_does_not_end_it(server: EmbeddedQdrantProcess) -> None:
    service = server.empty_collection()
    write_as_before(service, server.url)
    assert not service.upgrade.look()
    points = PointTransfer(server.url, service.collection)
    server.kill9()
    upgrade = IndexUpgrade(points, retry_seconds=0.1)
    upgrade.start()
    time.sleep(0.5)
    server.start()
    wait_until(service.upgrade.look)
    wait_until(has_ended)  # nothing is left to do
    upgrade.stop()
    service.close()


def test_a_worker_that_stops_waits_for_no_upgrade(server: EmbeddedQdrantProcess) -> None:
    service = server.empty_collection()
    points = PointTransfer(server.url, service.collection)
    server.kill9()
    upgrade = IndexUpgrade(points)
    upgrade.start()
    time.sleep(0.2)
    started = time.monotonic()
    upgrade.stop()
    assert time.monotonic() - started < 30
    assert has_ended()
    service.close()
