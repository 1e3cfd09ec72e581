"""10,000 products in one call: the time to accept it, the longest wait of others, and the pace
of the work if nothing needs embedding.
"""

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis

from benchmarks import counters
from benchmarks.bench import Bench, seconds_since_1970
from benchmarks.http_load import Connection
from benchmarks.results import Measured, Row

_PAUSE_SECONDS: Final = 0.005
_SLOW_MICROSECONDS: Final = 1000


def measure(bench: Bench) -> Measured:
    """In turn: the catalogue with new prices, and the same once more, unchanged."""
    sizes = bench.sizes
    bench.catalogue.hold(sizes.pushed + 1)
    accepted: list[float] = []
    pings: list[float] = []
    scripts: list[float] = []
    reads: list[float] = []
    rates: dict[str, list[float]] = {"new prices": [], "unchanged": []}
    embedded: list[float] = []
    for turn in range(sizes.pushes):
        body = bench.catalogue.body(sizes.pushed, price=30 + turn)
        for what, rate in rates.items():
            before = counters.read(bench.connection)[counters.PICTURES]
            with _Bystander(bench) as bystander:
                dated, began = time.time(), time.perf_counter()
                job_id = bench.connection.call("POST", "/index-products", body)["job_id"]
                accepted.append(time.perf_counter() - began)
            pings.append(1000 * max(bystander.pings))
            reads.append(1000 * max(bystander.reads))
            scripts.append(bystander.slowest_script_ms)
            job = bench.finished(job_id)
            rate.append(sizes.pushed / (seconds_since_1970(job["finished_at"]) - dated))
            embedded.append(counters.read(bench.connection)[counters.PICTURES] - before)
            expected = "indexed" if what == "new prices" else "unchanged"
            if job["counts"][expected] != sizes.pushed:
                raise RuntimeError(f"not all products ended {expected}: {job['counts']}")
    longest_read = f"longest GET /jobs/… meanwhile, median: {statistics.median(reads):.0f} ms"
    rows = [
        Row(
            name=f"accepting {sizes.pushed:,} products in one call",
            values=accepted,
            unit="s",
            target=3.0,
        ),
        Row(
            name="longest that anyone waits for the ledger's Redis meanwhile",
            values=pings,
            unit="ms",
            target=100.0,
            digits=0,
            note=f"slowest script {max(scripts):.0f} ms; {longest_read}",
        ),
        Row(
            name="new prices for all of them in one call, pictures answering 304",
            values=rates["new prices"],
            unit="/s",
            target=800.0,
            at_least=True,
            digits=0,
            note="from the call to the end of its job",
        ),
        Row(
            name="unchanged catalogue pushed again, pictures answering 304",
            values=rates["unchanged"],
            unit="/s",
            target=300.0,
            at_least=True,
            digits=0,
            note="from the call to the end of its job",
        ),
        Row(
            name="pictures embedded for these",
            values=[sum(embedded)],
            unit="",
            target=0.0,
            digits=0,
        ),
    ]
    details = {"reads_ms": reads, "pings_ms": pings, "slowest_script_ms": scripts}
    return Measured(rows=rows, details=details)


class _Bystander:
    """Asks the ledger's Redis for a PING and the API for a job, again and again."""

    def __init__(self, bench: Bench) -> None:
        self._redis: Any = redis.Redis.from_url(bench.settings_with_servers["redis_url"])
        self._api = Connection(bench.stack.api_url)
        beside = f"/products/{bench.catalogue.id_of(bench.sizes.pushed)}"
        job_id = self._api.call("PATCH", beside, b'{"price": 1}')["job_id"]
        bench.finished(job_id)
        self._path = f"/jobs/{job_id}"
        self._over = threading.Event()
        self.pings: list[float] = []
        self.reads: list[float] = []
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._redis.ping, self.pings)),
            threading.Thread(target=self._repeat, args=(self._read, self.reads)),
        ]
        self.slowest_script_ms = 0.0

    def __enter__(self) -> "_Bystander":
        self._redis.config_set("slowlog-log-slower-than", _SLOW_MICROSECONDS)
        self._redis.slowlog_reset()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        slow = [entry["duration"] / 1000 for entry in self._redis.slowlog_get(128)]
        self.slowest_script_ms = max(slow, default=_SLOW_MICROSECONDS / 1000)
        self._redis.close()
        self._api.close()

    def _read(self) -> None:
        self._api.call("GET", self._path)

    def _repeat(self, ask: Callable[[], object], took: list[float]) -> None:
        while not self._over.is_set():
            began = time.perf_counter()
            ask()
            took.append(time.perf_counter() - began)
            time.sleep(_PAUSE_SECONDS)
