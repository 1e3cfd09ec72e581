"""The memory that a product takes in the ledger: while it waits, with its job, and at rest.

`python -m benchmarks.studies.ledger_memory --products 20000` starts a ledger's Redis of its own on
loopback, in a temporary directory, accepts the products in jobs of 10,000 (each with a body of some
500 bytes), settles them as a worker does, and waits until the jobs have faded. Nothing stays.

Bytes are Redis' own count of its data (`used_memory_dataset`) over what it was when empty.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import redis

from shared.ledger import Ledger, connect
from shared.models.change import Change, Lane, Outcome, Report
from shared.models.product import Product
from stack.ports import free_port
from stack.redis import server_command

RETENTION_SECONDS: Final = 75
"""Above the minute for which the end of a job is kept for waiting clients."""

_JOB: Final = 10_000


def product(number: int) -> Product:
    """A product as shops have them."""
    return Product.model_validate(
        {
            "id": f"sku-{number:08}",
            "name": f"Red cotton shirt, number {number}",
            "description": "Beautiful red cotton shirt with long sleeves. " * 4,
            "image_url": f"https://images.example.com/catalogue/{number:08}.jpg",
            "category": "clothing",
            "price": 29.99,
            "attributes": {"color": "red", "size": "M", "material": "cotton", "stock": 15},
            "version": number,
        }
    )


def measure(client: redis.Redis, products: int) -> dict[str, float]:
    """Bytes per product, by what it is in."""
    ledger = Ledger(
        client,
        lease_seconds=30,
        job_retention_seconds=RETENTION_SECONDS,
        max_pending=10 * products,
    )
    empty = _used(client)

    def each() -> float:
        return (_used(client) - empty) / products

    for start in range(0, products, _JOB):
        numbers = range(start, min(start + _JOB, products))
        puts = [Change.put(product(number), at) for at, number in enumerate(numbers)]
        ledger.accept("shop", Lane.BULK, puts)
    found = {"waiting": each()}
    while (claim := ledger.claim([Lane.BULK], 64)).wanted:
        ledger.report(
            claim,
            [Report(one.tenant, one.product_id, one.rev, Outcome.INDEXED) for one in claim.wanted],
        )
    found["indexed, its job still kept"] = each()
    time.sleep(RETENTION_SECONDS + 1)
    client.dbsize()
    for key in client.scan_iter(count=1000):  # an expired key goes when it is looked at
        client.exists(key)
    found["indexed, at rest"] = each()
    return found


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory_dataset"])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--products", type=int, default=20_000)
    products: int = parser.parse_args().products
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        server = subprocess.Popen(  # noqa: S603 - our own command line
            server_command("ledger", port, Path(folder)), stdout=subprocess.DEVNULL
        )
        try:
            client = connect(f"redis://127.0.0.1:{port}/0")
            _wait(client)
            print(f"bytes per product, {products} products of {len(product(0).model_dump_json())}")
            for state, size in measure(client, products).items():
                print(f"{state:30} {size:8.1f}")
            client.close()
        finally:
            server.terminate()
            server.wait(10)


def _wait(client: redis.Redis) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the ledger's Redis did not start")


if __name__ == "__main__":
    main()
