"""A picture as its server answered with it: its bytes, what is known of it, and memory for it."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from shared.fetch.answers import (
    announced_length,
    is_coded,
    read_body,
    status_fault,
    too_large,
    validator,
)

_CHUNK_BYTES: Final = 64 * 1024
# A body this small is read to the end, though not wanted, so that the connection can be kept.
_MAX_DRAINED_BYTES: Final = 16 * 1024

SMALL_BYTES: Final = 2**20
"""Most pictures; they are fetched whatever memory others take."""

Admit = Callable[[int], bool]
"""Whether there is memory for a picture of so many bytes, at once; it is then taken."""


class MemoryShort(Exception):
    """There is no memory for the picture now. Nothing is wrong with it, nor with its server."""


@dataclass(frozen=True, slots=True)
class FetchedPicture:
    """A picture server's answer: the bytes as sent (not decoded) and its validators, if any."""

    data: bytes
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Validators:
    """What a picture server said of the picture that is known, to ask whether it still holds."""

    etag: str | None
    last_modified: str | None

    def headers(self) -> Mapping[str, str]:
        """A condition for the request; an ETag is exact, so it is preferred (RFC 9110)."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


def read_picture(response: BaseHTTPResponse, max_bytes: int, admit: Admit | None) -> FetchedPicture:
    """The picture that the answer carries, at most `max_bytes` large.

    `admit` is asked for memory beyond `SMALL_BYTES`, before it is read. Raises MemoryShort where it
    says no, the answer's own fault where it is no success, and what reading raises.
    """
    fault = status_fault(response)
    if fault is not None:
        drain(response)
        raise fault
    length, encoding = announced_length(response), response.headers.get("Content-Encoding")
    if (length or 0) > max_bytes:
        raise too_large(max_bytes)

    def take(size: int) -> None:
        if admit is not None and not admit(size):
            raise MemoryShort

    room = SMALL_BYTES
    if length is not None and length > room and not is_coded(encoding):
        take(length)
        room = length
    return FetchedPicture(
        data=read_body(
            response.stream(_CHUNK_BYTES, decode_content=False),
            encoding,
            max_bytes,
            room,
            lambda: take(max_bytes),
        ),
        etag=validator(response.headers.get("ETag")),
        last_modified=validator(response.headers.get("Last-Modified")),
    )


def drain(response: BaseHTTPResponse) -> None:
    """Read a small unwanted body, so that its connection is kept; errors no longer matter."""
    # An answer of 304 has none, whatever length it announces: that is the picture's.
    not_modified = response.status == HTTPStatus.NOT_MODIFIED
    length = 0 if not_modified else announced_length(response)
    if length is not None and length <= _MAX_DRAINED_BYTES:
        with contextlib.suppress(HTTPError, OSError):
            response.read(_MAX_DRAINED_BYTES, decode_content=False)
