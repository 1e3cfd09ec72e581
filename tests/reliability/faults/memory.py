"""The ledger at Redis' limit, and over a long time."""

import time
from pathlib import Path

import redis
import requests

from shared.ledger import Ledger, connect
from shared.models.change import Change, Lane, Outcome, Report
from shared.models.product import Product
from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.stack import FaultyStack
from tests.reliability.faults.table import Row
from tests.servers import RedisServer

PRODUCTS = 500
"""Of the traffic; they are changed again and again, deleted, and put anew."""


_SWEEPS_SECONDS = 3.0
"""For the workers to meet a broker that refuses them."""


def fill_redis(stack: FaultyStack, catalogue: Catalogue, row: Row) -> None:
    """Not one byte is left: changes are refused, and what waits is worked off all the same."""
    catalogue.lands(60, "before")
    client = stack.redis()
    workers = [stack.pid("worker"), stack.pid("worker-fast")]
    with stack.frozen("worker"):
        catalogue.put(*(catalogue.product(f"p{at}") for at in range(200)))
        limit = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", client.info("memory")["used_memory"])
    try:
        row.phases["200 waiting"] += 1
        began = time.monotonic()
        refused = requests.post(
            f"{stack.api_url}/api/v1/index-product",
            json=catalogue.product("too-much"),
            headers={"Authorization": f"Bearer {catalogue.shop.key}"},
            timeout=60,
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "ledger_full"), refused.text
        assert int(refused.headers["Retry-After"]) >= 1
        catalogue.check(row, 120)
        row.recovery_seconds = time.monotonic() - began
        time.sleep(_SWEEPS_SECONDS)
        assert [stack.pid("worker"), stack.pid("worker-fast")] == workers, "a worker died of it"
    finally:
        client.config_set("maxmemory", limit)
        client.close()
    catalogue.lands(60, "after")


def traffic_for(data_dir: Path, row: Row, seconds: float, retention_seconds: int) -> float:
    """Puts and deletes of the same products; by how much the ledger at rest grows, as a share."""
    server = RedisServer(data_dir)
    server.start()
    client = connect(server.url)
    ledger = Ledger(
        client, lease_seconds=30, job_retention_seconds=retention_seconds, max_pending=10**6
    )
    try:
        row.accepted += _cycle(ledger)
        early = _at_rest(client, ledger, retention_seconds)
        until = time.monotonic() + seconds
        cycles = 0
        while time.monotonic() < until:
            row.accepted += _cycle(ledger)
            cycles += 1
        late = _at_rest(client, ledger, retention_seconds)
    finally:
        client.close()
        server.stop()
    row.phases[f"{seconds:.0f} s of traffic"] += 1
    row.remark = f"at rest {early} bytes, after {cycles} rounds through all products {late}"
    return late / early - 1


def _at_rest(client: redis.Redis, ledger: Ledger, retention_seconds: int) -> int:
    """Bytes of all keys once everything that fades has faded.

    Left out are those that live a minute whatever the settings: the ends of jobs.
    """
    time.sleep(retention_seconds + 0.5)
    ledger.purge_deleted(int((time.time() - retention_seconds) * 1e6))
    keys = [key for key in client.scan_iter(count=1000) if not key.startswith("vitrine:end:")]
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.memory_usage(key, samples=0)
        return sum(size or 0 for size in pipeline.execute())


def _cycle(ledger: Ledger) -> int:
    """Every product is put, or, one in five, put and deleted; all is worked off."""
    for start in range(0, PRODUCTS, 50):
        names = [f"p{start + at}" for at in range(50)]
        puts = [
            Change.put(
                Product.model_validate(
                    {"id": name, "name": "Shirt", "image_url": "https://example.com/p.jpg"}
                ),
                at,
            )
            for at, name in enumerate(names)
        ]
        ledger.accept("shop", Lane.BULK, puts)
        _work_off(ledger, Lane.BULK, Outcome.INDEXED)
        for name in names[40:]:
            ledger.accept("shop", Lane.FAST, [Change.delete(name)])
        _work_off(ledger, Lane.FAST, Outcome.DELETED)
    return PRODUCTS + PRODUCTS // 5


def _work_off(ledger: Ledger, lane: Lane, outcome: Outcome) -> None:
    while (claim := ledger.claim([lane], 64)).wanted:
        ledger.report(
            claim,
            [Report(each.tenant, each.product_id, each.rev, outcome) for each in claim.wanted],
        )
