"""Large pictures, many at once: how much of them is in memory, and who waits for whom."""

import gzip
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import ItemCode, ItemTransient
from shared.fetch.fetcher import Fetcher
from tests.integration.fetch.picture_server import LOOPBACK, ScriptedServer, head, reply, sends
from tests.integration.worker.conftest import HashingEncoder
from tests.pictures import picture
from worker.pictures import Pictured, PictureReader, PictureRequest, PictureResult

MAX_BYTES = 2 * 2**20
THREADS = 16
AT_ONCE = 8
URGENT_BESIDES = 2
TIMEOUT = 15.0

# What follows a JPEG's end doesn't matter. It isn't to be packed, so that it comes bit by bit.
BODY = picture() + random.Random(1).randbytes(MAX_BYTES - 8192)
ANSWERS = {
    "announced": reply(BODY),
    "of unknown length": head("Connection: close") + BODY,
    "gzipped": reply(gzip.compress(BODY, mtime=0), "Content-Encoding: gzip"),
}


class HoldingServer(ScriptedServer):
    """Sends all but the end of its answer, and the end once it is told to."""

    def __init__(self, answer: bytes, address: str = "127.0.0.1") -> None:
        super().__init__(self._hold, address=address)
        self._answer = answer
        self._lock = threading.Lock()
        self.held = self.given_up = 0
        """Answers that their fetcher waits for the end of, and those it closed before."""
        self.release = threading.Event()

    def _hold(self, connection: socket.socket, _path: str, _head: str) -> None:
        try:
            connection.sendall(self._answer[:-20])
            self._wait(connection)
        except OSError:
            with self._lock:
                self.given_up += 1
            raise
        connection.sendall(self._answer[-20:])
        if b"Connection: close" in self._answer[:200]:
            connection.shutdown(socket.SHUT_RDWR)

    def _wait(self, connection: socket.socket) -> None:
        with self._lock:
            self.held += 1
        try:
            while not self.release.wait(0.01):
                if _closed(connection):
                    raise ConnectionAbortedError
        finally:
            with self._lock:
                self.held -= 1


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


@pytest.fixture
def reader() -> Iterator[PictureReader]:
    fetcher = Fetcher(LOOPBACK, max_bytes=MAX_BYTES, timeout_seconds=TIMEOUT)
    reader = PictureReader(fetcher, HashingEncoder(), THREADS)
    yield reader
    reader.close()
    fetcher.close()


def read(
    reader: PictureReader, server: ScriptedServer, count: int, *, urgent: bool = False
) -> list[PictureResult]:
    requests = [PictureRequest(at, server.url(f"/{at}.jpg")) for at in range(count)]
    groups = reader.read(requests, urgent=urgent)
    return [result for group in groups for _, result in group]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_large_pictures_in_memory_are_bounded_in_sum(reader: PictureReader, answer: bytes) -> None:
    server = HoldingServer(answer)
    small = ScriptedServer(sends(reply(picture())), address="127.0.0.2")
    with ThreadPoolExecutor(3) as pool:
        bulk = pool.submit(read, reader, server, THREADS)
        until(lambda: server.held == AT_ONCE and server.given_up >= 4)
        # Small ones need none of it, and urgent ones have some that others can't hold.
        assert all(isinstance(result, Pictured) for result in read(reader, small, 30))
        urgent = pool.submit(read, reader, server, URGENT_BESIDES, urgent=True)
        until(lambda: server.held == AT_ONCE + URGENT_BESIDES)
        server.release.set()
        results = [*bulk.result(20), *urgent.result(20)]
    assert [type(result) for result in results] == [Pictured] * (THREADS + URGENT_BESIDES)
    server.close()
    small.close()


def test_a_picture_that_waits_for_memory_loses_none_of_its_time() -> None:
    def half_of_its_time(connection: socket.socket, _path: str, _head: str) -> None:
        connection.sendall(ANSWERS["announced"][:-20])
        time.sleep(0.5)
        connection.sendall(ANSWERS["announced"][-20:])

    slow = HoldingServer(ANSWERS["announced"])
    fair = ScriptedServer(half_of_its_time, address="127.0.0.2")
    fetcher = Fetcher(LOOPBACK, max_bytes=MAX_BYTES, timeout_seconds=1.0)
    reader = PictureReader(fetcher, HashingEncoder(), THREADS)
    with ThreadPoolExecutor(2) as pool:
        timed_out = pool.submit(read, reader, slow, AT_ONCE)
        until(lambda: slow.held == AT_ONCE)
        started = time.monotonic()
        assert all(isinstance(result, Pictured) for result in read(reader, fair, 4))
        assert time.monotonic() - started > 1.0  # they did wait
        for fault in timed_out.result(20):
            assert isinstance(fault, ItemTransient)
            assert fault.code == ItemCode.IMAGE_TIMEOUT
    reader.close()
    fetcher.close()
    slow.close()
    fair.close()
