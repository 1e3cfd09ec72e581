"""Large pictures, many at once: how much of them is in memory, and who waits for whom."""

import contextlib
import gzip
import random
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.embedding.encoder import PreparedImage
from shared.fetch.fetcher import Fetcher
from shared.fetch.picture import SMALL_BYTES
from tests.integration.fetch.picture_server import (
    LOOPBACK,
    Script,
    ScriptedServer,
    head,
    reply,
    sends,
)
from tests.integration.worker.conftest import HashingEncoder
from tests.pictures import picture
from worker.pictures.reader import Pictured, PictureReader, PictureRequest, PictureResult

MAX_BYTES = 2 * 2**20
THREADS = 16
AT_ONCE = 8
URGENT_BESIDES = 2

# What follows a JPEG's end doesn't matter. It isn't to be packed, so that it comes bit by bit.
BODY = picture() + random.Random(1).randbytes(MAX_BYTES - 8192)
ANSWERS = {
    "announced": sends(reply(BODY)),
    "of unknown length": sends(head("Connection: close") + BODY, then_close=True),
    "gzipped": sends(reply(gzip.compress(BODY, mtime=0), "Content-Encoding: gzip")),
}


class HoldingEncoder(HashingEncoder):
    """Holds the large pictures that it is to decode until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Condition()
        self.held = 0
        self.release = threading.Event()

    def prepare(
        self, data: bytes, timeout: float | None = None, *, urgent: bool = False
    ) -> PreparedImage:
        if len(data) > SMALL_BYTES:
            with self._lock:
                self.held += 1
                self._lock.notify_all()
            assert self.release.wait(60)
        return super().prepare(data, timeout, urgent=urgent)

    def wait_for(self, held: int) -> None:
        with self._lock:
            assert self._lock.wait_for(lambda: self.held == held, 10)


@pytest.fixture
def encoder() -> HoldingEncoder:
    return HoldingEncoder()


@pytest.fixture
def reader(encoder: HoldingEncoder) -> Iterator[PictureReader]:
    fetcher = Fetcher(LOOPBACK, max_bytes=MAX_BYTES, timeout_seconds=15)
    reader = PictureReader(fetcher, encoder, THREADS)
    yield reader
    reader.close()
    fetcher.close()


def read(
    reader: PictureReader, server: ScriptedServer, count: int, *, urgent: bool = False
) -> list[PictureResult]:
    requests = [PictureRequest(at, server.url(f"/{at}.jpg")) for at in range(count)]
    groups = reader.read(requests, urgent=urgent)
    return [result for group in groups for _, result in group]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_large_pictures_in_memory_are_bounded_in_sum(
    reader: PictureReader, encoder: HoldingEncoder, answer: Script
) -> None:
    server = ScriptedServer(answer)
    small = ScriptedServer(sends(reply(picture())), address="127.0.0.2")
    tracemalloc.start()
    with ThreadPoolExecutor(3) as pool, contextlib.ExitStack() as stack:
        stack.callback(encoder.release.set)
        bulk = pool.submit(read, reader, server, THREADS)
        encoder.wait_for(AT_ONCE)
        # Small ones need none of it, and urgent ones have some that others can't hold.
        assert all(isinstance(result, Pictured) for result in read(reader, small, 30))
        urgent = pool.submit(read, reader, server, URGENT_BESIDES, urgent=True)
        encoder.wait_for(AT_ONCE + URGENT_BESIDES)
        # The others have been fetched meanwhile, or are on their way, and lie on the disk.
        assert len(server.requests) > AT_ONCE + URGENT_BESIDES
        now, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert encoder.held == AT_ONCE + URGENT_BESIDES
        assert now < (AT_ONCE + URGENT_BESIDES + 3) * MAX_BYTES
        encoder.release.set()
        results = [*bulk.result(60), *urgent.result(60)]
    assert [type(result) for result in results] == [Pictured] * (THREADS + URGENT_BESIDES)
    # Each was asked for once, whatever it waited for.
    assert len(server.requests) == THREADS + URGENT_BESIDES
    server.close()
    small.close()
