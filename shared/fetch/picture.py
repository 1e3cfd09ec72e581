"""A picture as its server sent it: its bytes, and their validators."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import DiskRefused, ItemCode, ItemPermanent, ItemTransient
from shared.fetch.answers import entity_tag, http_date, status_fault
from shared.fetch.faults import AnswerTooLong, too_large
from shared.fetch.http1 import Answer
from shared.fetch.unpacking import unpacked

_MAX_DRAINED_BYTES: Final = 16 * 1024
"""A body this small is read to the end, though not wanted, so that the connection can be kept."""

SMALL_BYTES: Final = 2**20
"""Most pictures; a larger one lies on the disk until it is decoded."""

_ON_DISK: Final = Path("/var/tmp")  # noqa: S108 - the files there have no names
_DIRECTORY: Final = str(_ON_DISK) if _ON_DISK.is_dir() else None
"""On the disk: /tmp often lies in memory, and large pictures shall take none."""


class FetchedPicture:
    """A picture server's answer: the bytes as sent (not decoded) and its validators, if any.

    Close it, for its file; it has no name, and ends with the picture in any case.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        etag: str | None = None,
        last_modified: str | None = None,
        most_in_memory: int = SMALL_BYTES,
    ) -> None:
        """Reads the `chunks`; beyond `most_in_memory` bytes to the disk.

        Raises the errors of the `chunks`, and `DiskRefused` if the disk takes no more.
        """
        self.etag = etag
        self.last_modified = last_modified
        self.size = 0
        self._file = tempfile.SpooledTemporaryFile(most_in_memory, dir=_DIRECTORY)  # noqa: SIM115
        digest = hashlib.sha256()
        try:
            for chunk in chunks:
                self.size += len(chunk)
                digest.update(chunk)
                with _disk():
                    self._file.write(chunk)
            with _disk():
                self._file.flush()
        except BaseException:
            self.close()
            raise
        self.sha256 = digest.hexdigest()

    def __enter__(self) -> "FetchedPicture":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def data(self) -> bytes:
        """All its bytes, read into memory. Raises DiskRefused."""
        with _disk():
            self._file.seek(0)
            return self._file.read()

    def free_memory(self) -> None:
        """Moves a picture that lies in memory to the disk. If the disk refuses it, it is closed.

        Raises DiskRefused.
        """
        try:
            with _disk():
                self._file.rollover()
                self._file.flush()
        except DiskRefused:
            self.close()
            raise

    def close(self) -> None:
        """Gives its memory, or its place on the disk, back."""
        with contextlib.suppress(OSError):  # nobody wants bytes any more that a full disk refused
            self._file.close()

    def __del__(self) -> None:
        # Python complains of a forgotten file, also of one that lies in memory alone.
        self.close()


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise DiskRefused(f"The disk refuses large pictures: {err.strerror or err}.") from err


@dataclass(frozen=True, slots=True)
class Validators:
    """Validators of the known picture, with which its server is asked whether it changed."""

    etag: str | None
    last_modified: str | None

    def headers(self) -> Mapping[str, str]:
        """A condition for the request; an ETag is exact, so it is preferred (RFC 9110)."""
        if etag := entity_tag(self.etag):
            return {"If-None-Match": etag}
        date = http_date(self.last_modified)
        return {"If-Modified-Since": date} if date else {}


def read_picture(
    answer: Answer, max_bytes: int, most_in_memory: int = SMALL_BYTES
) -> FetchedPicture:
    """The picture that the answer carries, at most `max_bytes` large; see FetchedPicture.

    Raises the answer's own fault if it is no success, and the faults of reading: `ItemTransient`,
    `ItemPermanent`, `AnswerTooLong`, `DiskRefused`.
    """
    head = answer.head
    fault = status_fault(head)
    if fault is not None:
        drain(answer)
        raise fault
    if (answer.length or 0) > max_bytes:
        raise too_large(max_bytes)
    codings = [*head.tokens("content-encoding"), *head.tokens("transfer-encoding")]
    picture = FetchedPicture(
        unpacked(answer.body(), codings, max_bytes),
        entity_tag(head.get("etag")),
        http_date(head.get("last-modified")),
        most_in_memory,
    )
    if not picture.size:
        picture.close()
        raise ItemPermanent(ItemCode.NOT_AN_IMAGE, "The picture server sent an empty answer.")
    return picture


def drain(answer: Answer) -> None:
    """Read a small unwanted body, so that its connection is kept; errors no longer matter."""
    if answer.length is not None and answer.length <= _MAX_DRAINED_BYTES:
        with contextlib.suppress(ItemTransient, AnswerTooLong):
            for _ in answer.body():
                pass
