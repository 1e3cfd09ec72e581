"""New prices one by one: `PATCH` over 16 kept connections, until the last has landed."""

import itertools
import json
import time
from typing import Final

from benchmarks import counters
from benchmarks.bench import Bench
from benchmarks.http_load import Connection, closed_loop
from benchmarks.results import Measured, Row, percentiles

_CLIENTS: Final = 16
_LANDED: Final = 'reports_total{result="indexed"}'
_PRICES = itertools.count(1000)


def measure(bench: Bench) -> Measured:
    """No product twice in a round: two patches of one that waits would be one write."""
    sizes = bench.sizes
    bench.catalogue.hold(sizes.patches)
    rates: list[float] = []
    took: list[float] = []
    client_share: list[float] = []
    for _ in range(sizes.rounds):
        body = json.dumps({"price": next(_PRICES)}).encode()

        def patch(connection: Connection, number: int, body: bytes = body) -> None:
            connection.call("PATCH", f"/products/{bench.catalogue.id_of(number)}", body)

        before = counters.read(bench.connection)
        began, ours = time.perf_counter(), time.process_time()
        took += closed_loop(bench.stack.api_url, _CLIENTS, sizes.patches, patch)
        client_share.append((time.process_time() - ours) / (time.perf_counter() - began))
        after = counters.nothing_pending(bench.connection)
        rates.append(sizes.patches / (after.at - began))
        counters.reached(bench.connection, _LANDED, before[_LANDED] + sizes.patches)
    row = Row(
        name=f"new prices by PATCH over {_CLIENTS} kept connections",
        values=rates,
        unit="/s",
        target=800.0,
        at_least=True,
        digits=0,
        note="from the first call to the last product written",
    )
    details = {"answer_ms": percentiles(took), "client_cores": client_share}
    return Measured(rows=[row], details=details)
