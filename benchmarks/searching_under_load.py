"""Searches by words, nothing cached: alone, from 16 clients at once, and beside indexing."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final

from benchmarks import counters
from benchmarks.bench import Bench
from benchmarks.http_load import Connection, at_pace, closed_loop
from benchmarks.questions import questions
from benchmarks.results import Measured, Row, percentiles

_PER_SECOND: Final = 4.0
"""Searches that no cache answers: few, for a model that is embedding a query indexes nothing."""

_CLIENTS: Final = 16
_PER_CALL: Final = 128
_ALWAYS_PENDING: Final = 192
"""Three claims: the worker never runs out."""


def measure(bench: Bench) -> Measured:
    """Full speed is that of the same bulk just before and after, without searches."""
    seconds = bench.sizes.load_seconds
    api_url = bench.stack.api_url
    bench.catalogue.hold(bench.sizes.searched)
    asked = questions(seed=3)
    turn = threading.Lock()
    server: list[float] = []

    def search(connection: Connection, _: int) -> None:
        with turn:
            question = next(asked)
        answer = connection.search(question)
        if answer["cached"]:
            raise RuntimeError("a question was asked twice")
        server.append(answer["execution_time_ms"] / 1000)

    at_pace(api_url, _PER_SECOND, 2, search)
    idle = at_pace(api_url, _PER_SECOND, seconds, search)
    began = time.perf_counter()
    crowd = closed_loop(api_url, _CLIENTS, int(8 * seconds), search)
    crowd_rate = len(crowd) / (time.perf_counter() - began)
    with _Bulk(bench) as bulk:
        before = bulk.rate_during(lambda: time.sleep(seconds / 2))
        server.clear()
        beside: list[float] = []
        meanwhile = bulk.rate_during(
            lambda: beside.extend(at_pace(api_url, _PER_SECOND, seconds, search))
        )
        after = bulk.rate_during(lambda: time.sleep(seconds / 2))
    full = (before + after) / 2
    shown = {"idle": percentiles(idle), "crowd": percentiles(crowd), "beside": percentiles(beside)}
    rows = [
        Row(
            name="search p95 while indexing ÷ p95 alone",
            values=[shown["beside"]["p95"] / shown["idle"]["p95"]],
            unit="×",
            target=3.0,
            note=f"alone {_in_words(shown['idle'])}; while indexing {_in_words(shown['beside'])}",
        ),
        Row(
            name="indexing meanwhile ÷ indexing without searches",
            values=[meanwhile / full],
            unit="×",
            target=0.7,
            at_least=True,
            note=f"{_PER_SECOND:.0f} searches/s that no cache answers",
        ),
        Row(
            name=f"search p95 with {_CLIENTS} clients at once ÷ p95 alone",
            values=[shown["crowd"]["p95"] / shown["idle"]["p95"]],
            unit="×",
            note=f"{_in_words(shown['crowd'])}; {crowd_rate:.0f} searches/s",
        ),
    ]
    details = {
        "client_ms": shown,
        "server_ms_while_indexing": percentiles(server),
        "pictures_per_second": {"before": before, "meanwhile": meanwhile, "after": after},
        "searches": {"idle": len(idle), "crowd": len(crowd), "beside": len(beside)},
    }
    return Measured(rows=rows, details=details)


def _in_words(shown: Mapping[str, float]) -> str:
    return " / ".join(f"{shown[name]:.0f}" for name in ("p50", "p95", "p99")) + " ms (p50/p95/p99)"


class _Bulk:
    """Bulk that never ends: as some lands, more is pushed. On leaving, what is left is awaited."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._connection = Connection(bench.stack.api_url)
        self._over = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._feed)

    def rate_during(self, do: Callable[[], None]) -> float:
        """Pictures per second from the first forward pass that ends after the start to the first
        that ends after the end."""
        first = counters.at_change(self._bench.connection, counters.PICTURES)
        do()
        last = counters.at_change(self._bench.connection, counters.PICTURES)
        if self._failed:
            raise self._failed[0]
        return (last[counters.PICTURES] - first[counters.PICTURES]) / (last.at - first.at)

    def __enter__(self) -> "_Bulk":
        self._push()
        self._thread.start()
        for _ in range(2):  # all stages are busy once the first batches are through
            counters.at_change(self._bench.connection, counters.PICTURES)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()
        if error is None:
            counters.nothing_pending(self._bench.connection)

    def _feed(self) -> None:
        try:
            while not self._over.is_set():
                if counters.read(self._connection).pending < _ALWAYS_PENDING:
                    self._push()
                else:
                    self._over.wait(0.5)
        except BaseException as err:
            self._failed.append(err)

    def _push(self) -> None:
        body = json.dumps({"products": self._bench.new_products(_PER_CALL)}).encode()
        self._connection.call("POST", "/index-products", body)
