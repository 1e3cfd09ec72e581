"""What is fetched lies in memory while it is small, and else on the disk until it is closed."""

import hashlib
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from shared.errors import DiskRefused
from shared.fetch import picture as fetched
from shared.fetch.picture import SMALL_BYTES, FetchedPicture


def chunks(size: int) -> Iterator[bytes]:
    for start in range(0, size, 2**16):
        yield bytes([start >> 16 & 0xFF]) * min(2**16, size - start)


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, 5 * SMALL_BYTES + 7])
def test_a_picture_is_what_came_wherever_it_lies(size: int) -> None:
    whole = b"".join(chunks(size))
    with FetchedPicture(chunks(size), '"7"', "date") as picture:
        assert picture.data == whole
        assert picture.data == whole  # as often as it is asked for
        assert picture.size == size
        assert picture.sha256 == hashlib.sha256(whole).hexdigest()
        assert picture._file._rolled == (size > SMALL_BYTES)
    assert picture._file.closed


def test_a_large_picture_takes_no_memory_until_it_is_read() -> None:
    tracemalloc.start()
    try:
        with FetchedPicture(chunks(20 * SMALL_BYTES)):
            assert tracemalloc.get_traced_memory()[1] < 4 * SMALL_BYTES
    finally:
        tracemalloc.stop()


def test_nothing_is_left_open_where_reading_breaks_off() -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(2 * SMALL_BYTES)
        raise ConnectionError

    with pytest.raises(ConnectionError):  # an open file would be a warning, hence a failure
        FetchedPicture(broken())


def _full(**_: object) -> IO[Any]:
    return Path("/dev/full").open("w+b")


@pytest.mark.parametrize("beyond", [1, 100_000, 5 * SMALL_BYTES])
def test_a_disk_that_refuses_is_told_apart_from_the_pictures_faults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, beyond: int
) -> None:
    monkeypatch.setattr(fetched, "_DIRECTORY", tmp_path / "missing")
    with pytest.raises(DiskRefused, match="No such file"):
        FetchedPicture(chunks(SMALL_BYTES + beyond))
    monkeypatch.setattr(tempfile, "TemporaryFile", _full)
    with pytest.raises(DiskRefused, match="No space left"):
        FetchedPicture(chunks(SMALL_BYTES + beyond))
    with FetchedPicture(chunks(SMALL_BYTES)) as small:
        assert small.size == SMALL_BYTES  # which needs no disk


def test_what_the_disk_takes_last_is_missed_before_the_picture_counts_as_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", _full)
    with pytest.raises(DiskRefused):
        FetchedPicture([b"a", b"b"], most_in_memory=1)  # all of it fits into the file's buffer
