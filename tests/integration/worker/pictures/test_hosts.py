"""One shop's dead or overloaded picture server beside another shop's: real ones, real threads."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.fetch.fetcher import Fetcher
from shared.models.change import Lane, Outcome
from tests.integration.fetch.picture_server import LOOPBACK, ScriptedServer, reply, sends
from tests.integration.worker.conftest import Worker
from tests.pictures import picture
from worker.pictures.reader import PictureReader
from worker.reconcile.decide import Decisions
from worker.reconcile.reports import RetryPolicy

THREADS = 8
TIMEOUT = 5.0


@pytest.fixture
def silent() -> Iterator[ScriptedServer]:
    """Takes requests and never answers."""
    ended = threading.Event()
    server = ScriptedServer(lambda *_: ended.wait(120) and None, address="127.0.0.2")
    yield server
    ended.set()
    server.close()


@pytest.fixture
def hasty(worker: Worker) -> Iterator[Worker]:
    """The worker with short times."""
    fetcher = Fetcher(LOOPBACK, max_bytes=2**20, timeout_seconds=TIMEOUT, pause_seconds=1.0)
    reader = PictureReader(fetcher, worker.encoder, THREADS)
    worker.reconciler._pictures = reader
    yield worker
    reader.close()
    fetcher.close()


@pytest.mark.parametrize("lane", [Lane.BULK, Lane.SINGLE])
def test_a_dead_host_of_one_shop_holds_up_no_other_shops_pictures(
    hasty: Worker, silent: ScriptedServer, lane: Lane
) -> None:
    dead = [hasty.product(f"dead-{at}", image_url=silent.url(f"/{at}.jpg")) for at in range(40)]
    healthy = [hasty.product(f"healthy-{at}", picture((at, 9, 9))) for at in range(20)]
    first = hasty.push(*dead, lane=lane)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(hasty.bells.serve)]
        while not silent.requests:
            time.sleep(0.01)
        second = hasty.push(*healthy, lane=lane)
        started = time.monotonic()
        answers.append(pool.submit(hasty.bells.serve))
        while hasty.counts(second) != {Outcome.INDEXED: 20}:
            assert time.monotonic() - started < TIMEOUT
            time.sleep(0.01)
        assert hasty.counts(first) == {Outcome.PENDING: 40}
        for answer in answers:
            answer.result(60)
    # What waited behind those that timed out ended with them, though 40 in turn take long.
    assert time.monotonic() - started < 3 * TIMEOUT
    assert len(silent.requests) < 2 * THREADS


def test_a_server_that_asks_for_patience_gets_it_and_no_product_loses_an_attempt_by_it(
    hasty: Worker,
) -> None:
    hasty.reconciler._decisions = Decisions(RetryPolicy(max_attempts=1, base_seconds=0.0))
    refusing = True

    def script(connection: socket.socket, _path: str, _head: str) -> None:
        answer = reply(b"", "Retry-After: 1", status="429 Too Many Requests")
        connection.sendall(answer if refusing else reply(picture()))

    server = ScriptedServer(script)
    products = [hasty.product(f"p{at}", image_url=server.url(f"/{at}.jpg")) for at in range(30)]
    job = hasty.push(*products)
    hasty.bells.serve()
    asked = len(server.requests)
    assert asked <= THREADS
    assert hasty.counts(job) == {Outcome.FAILED: asked, Outcome.PENDING: 30 - asked}
    hasty.bells.serve()
    assert len(server.requests) == asked  # nothing is due, or it is put off
    refusing = False
    deadline = time.monotonic() + 60
    while hasty.counts(job) != {Outcome.FAILED: asked, Outcome.INDEXED: 30 - asked}:
        assert time.monotonic() < deadline
        hasty.bells.serve()
        time.sleep(0.05)
    server.close()


def test_a_server_that_refuses_for_ever_ends_its_products_all_the_same(hasty: Worker) -> None:
    answer = reply(b"", "Retry-After: 1", status="503 Service Unavailable")
    server = ScriptedServer(sends(answer))
    job = hasty.push(
        *(hasty.product(f"p{at}", image_url=server.url(f"/{at}.jpg")) for at in range(20))
    )
    deadline = time.monotonic() + 60
    while hasty.counts(job) != {Outcome.FAILED: 20}:
        assert time.monotonic() < deadline
        hasty.bells.serve()
        time.sleep(0.05)
    server.close()
