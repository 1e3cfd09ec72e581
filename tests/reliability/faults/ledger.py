"""The ledger's Redis, which also carries the doorbells: cut off, killed, frozen."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.stack import FaultyStack, eventually
from tests.reliability.faults.table import Row

CONSUMING_AGAIN_SECONDS = 60.0
"""15 s on an idle machine; what is not connected anew never consumes."""
"""Known to take for ever with kombu before 5.7: connected again, and consuming nothing."""


def cut_connections(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """All connections, of one kind or of all, are closed under the processes' feet."""
    slowest = 0.0
    kinds = itertools.cycle((("TYPE", "normal"), ("TYPE", "pubsub"), ("SKIPME", "yes")))
    for number, kind in zip(range(times), kinds, strict=False):
        with _changes(catalogue, f"cut{number}"):
            client = stack.redis()
            time.sleep(0.2)
            client.execute_command("CLIENT", "KILL", *kind)
            client.close()
        row.phases[" ".join(kind)] += 1
        slowest = max(slowest, catalogue.lands(CONSUMING_AGAIN_SECONDS, f"after-cut{number}"))
    _end(catalogue, row, slowest)


def kill_redis(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """kill -9; it comes back with what its append-only file holds."""
    slowest = 0.0
    for number in range(times):
        with _changes(catalogue, f"kill{number}"):
            time.sleep(0.3)
            before = stack.kill("redis")
        eventually(lambda old=before: stack.pid("redis") not in (0, old), 60, "Redis to return")
        row.phases["while changes come in"] += 1
        slowest = max(slowest, catalogue.lands(CONSUMING_AGAIN_SECONDS, f"after-kill{number}"))
    _end(catalogue, row, slowest)


def freeze_redis(stack: FaultyStack, catalogue: Catalogue, row: Row, seconds: float) -> None:
    """SIGSTOP: connections stay open, and nobody answers on them."""
    catalogue.lands(60, "before")
    kept = catalogue.put(*(catalogue.product(f"kept-{at}") for at in range(20)))
    pushing = threading.Thread(target=catalogue.put, args=(catalogue.product("meanwhile"),))
    with stack.frozen("redis"):
        until = time.monotonic() + seconds
        pushing.start()
        while time.monotonic() < until:
            # Searches need no ledger. A query of its own each time, so that no cache answers.
            query = {"text_query": f"red {time.monotonic()}", "cutoff": "off"}
            answer = catalogue.shop.search(query)
            assert answer["results"]
            time.sleep(0.5)
    thawed = time.monotonic()
    row.phases[f"{seconds:.0f} s"] += 1
    slowest = catalogue.lands(CONSUMING_AGAIN_SECONDS, "after")
    pushing.join(60)
    assert catalogue.shop.finished(kept, 60)["state"] == "succeeded"
    assert catalogue.refusals, "nobody was told that nothing can be accepted"
    row.remark = f"all that waited landed {time.monotonic() - thawed:.1f} s after it; "
    _end(catalogue, row, slowest)


@contextmanager
def _changes(catalogue: Catalogue, prefix: str) -> Iterator[None]:
    """A client that pushes without pause for as long as the block runs, and a little longer."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def push() -> None:
        try:
            for number in itertools.count():
                catalogue.put(catalogue.product(f"{prefix}-{number}"))
                catalogue.put(
                    *(catalogue.product(f"{prefix}-{number}-{at}") for at in range(3)),
                )
                if stop.wait(0.1):
                    return
        except BaseException as err:
            faults.append(err)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        time.sleep(0.3)
        stop.set()
        thread.join(120)
    assert not faults, faults


def _end(catalogue: Catalogue, row: Row, slowest: float) -> None:
    row.recovery_seconds = slowest
    refused = catalogue.refusals
    catalogue.check(row, 120)
    row.remark += f"{len(refused)} answered 503"
    if refused:
        row.remark += f", within {max(refused):.1f} s at most"
