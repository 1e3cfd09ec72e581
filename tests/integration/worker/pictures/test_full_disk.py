"""A disk without room for large pictures: the kernel's own refusal, on the real path."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from shared.fetch.fetcher import Fetcher
from shared.models.change import Outcome
from tests.integration.fetch.picture_server import LOOPBACK
from tests.integration.worker.conftest import Worker
from tests.pictures import picture
from worker.pictures import reader
from worker.pictures.reader import PictureReader
from worker.reconcile.decide import Decisions
from worker.reconcile.reports import RetryPolicy


@pytest.fixture
def spooling(worker: Worker) -> Iterator[Worker]:
    """The worker with large pictures, of which none may fail once."""
    fetcher = Fetcher(LOOPBACK, max_bytes=4 * 2**20, timeout_seconds=5.0)
    pictures = PictureReader(fetcher, worker.encoder, 4)
    worker.reconciler._pictures = pictures
    worker.reconciler._decisions = Decisions(RetryPolicy(max_attempts=1, base_seconds=0.0))
    yield worker
    pictures.close()
    fetcher.close()


def _full(**_: object) -> IO[Any]:
    return Path("/dev/full").open("w+b")


def test_a_full_disk_costs_no_product_an_attempt_and_small_pictures_nothing(
    spooling: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_DISK_SECONDS", 0.0)
    large = [spooling.product(f"l{at}", picture((at, 9, 9)) + bytes(2**21)) for at in range(3)]
    small = spooling.product("small", picture())
    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryFile", _full)
        job = spooling.push(*large, small)
        for _ in range(3):
            spooling.bells.serve()
            assert spooling.counts(job) == {Outcome.PENDING: 3, Outcome.INDEXED: 1}
    spooling.bells.serve()
    assert spooling.counts(job) == {Outcome.INDEXED: 4}
