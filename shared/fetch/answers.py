"""What a picture server's answer means: a picture, a redirect, or a fault of the item."""

import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from urllib3 import BaseHTTPResponse

from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient

MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
"""A server may ask for patience, but not put a product off for days."""

REDIRECTS: Final = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_PASSING: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_VALIDATOR: Final = re.compile(r"[\x21-\x7e][\x20-\x7e\xa1-\xff]{0,999}")
_IDENTITY: Final = "identity"
_UNPACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_UNPACKED_AT_ONCE: Final = 256 * 2**10
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32  # zlib's own sign for "find out which of the two"


def redirect_location(response: BaseHTTPResponse) -> str | None:
    """Where a redirect leads, or None where the answer is not a redirect with a `Location`."""
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or not location:
        return None
    try:
        # Header bytes arrive as Latin-1, servers mean UTF-8.
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def status_fault(response: BaseHTTPResponse, now: datetime | None = None) -> ItemFault | None:
    """The fault that the answer's status means, or None for 200."""
    status = response.status
    if status == HTTPStatus.OK:
        return None
    if status in _GONE:
        return ItemPermanent(
            ItemCode.IMAGE_NOT_FOUND, f"The picture server has no such picture (HTTP {status})."
        )
    message = f"The picture server answered with HTTP {status}."
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        wait = retry_after(response.headers.get("Retry-After"), now or datetime.now(UTC))
        return ItemTransient(ItemCode.IMAGE_HTTP_ERROR, message, wait)
    return ItemPermanent(ItemCode.IMAGE_HTTP_ERROR, message)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header, which gives seconds or a date (RFC 9110).

    Bounded to 0 … `MAX_RETRY_AFTER_SECONDS`; None where the header is absent or unreadable.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        if date.tzinfo is None:  # "-0000": the time is UTC, of an unknown zone
            date = date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def validator(value: str | None) -> str | None:
    """An `ETag` or `Last-Modified` that can be kept with each product and be sent back, or None.

    A server may send 64 kB of it, or characters that no request may hold.
    """
    return value if value is not None and _VALIDATOR.fullmatch(value) else None


def announced_length(response: BaseHTTPResponse) -> int | None:
    """The body's length in bytes by `Content-Length`; None where it is absent or unreadable."""
    length = response.headers.get("Content-Length", "")
    # 18 digits are more than any file; thousands of them would be slow to read, or refused.
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None


def is_coded(encoding: str | None) -> bool:
    """Whether a body of this Content-Encoding is to be unpacked."""
    return _coding(encoding) != _IDENTITY


def read_body(
    chunks: Iterable[bytes],
    encoding: str | None,
    max_bytes: int,
    room: int | None = None,
    make_room: Callable[[], None] = lambda: None,
) -> bytes:
    """Join a body's chunks, unpacked by `encoding` (its Content-Encoding).

    We ask for none, but some stores keep pictures gzipped and send them so whatever is asked.
    Neither the bytes on the wire nor the unpacked ones may be more than `max_bytes`, and no more
    than that is ever in memory. `make_room` is called once, before there are more than `room`.

    Raises `ItemPermanent`: `image_too_large`, `image_corrupt` where it can't be unpacked,
    `image_http_error` for an encoding that is not known, `not_an_image` where nothing is left.
    """
    pieces = _bounded(chunks, max_bytes)
    if is_coded(encoding):
        if _coding(encoding) not in _UNPACKED:
            raise ItemPermanent(
                ItemCode.IMAGE_HTTP_ERROR,
                "The picture was sent in a content encoding that was not asked for.",
            )
        pieces = _bounded(_unpacked(pieces), max_bytes)
    # Unlike a list of pieces it is not joined, nor copied by `getvalue`: each byte is held once.
    body, size = io.BytesIO(), 0
    for piece in pieces:
        size += len(piece)
        if room is not None and size > room:
            make_room()
            room = None
        body.write(piece)
    data = body.getvalue()
    if not data:
        raise ItemPermanent(ItemCode.NOT_AN_IMAGE, "The picture server sent an empty answer.")
    return data


def too_large(max_bytes: int) -> ItemPermanent:
    """The fault of a picture of more than `max_bytes`."""
    return ItemPermanent(
        ItemCode.IMAGE_TOO_LARGE, f"The picture is larger than {max_bytes:,} bytes."
    )


def _bounded(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise too_large(max_bytes)
        yield chunk


def _coding(encoding: str | None) -> str:
    return (encoding or _IDENTITY).strip().lower()


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for chunk in chunks:
            packed = b"" if unpacker.eof else chunk
            while packed:
                yield unpacker.decompress(packed, _UNPACKED_AT_ONCE)
                packed = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error:
        raise ItemPermanent(
            ItemCode.IMAGE_CORRUPT, "The picture was sent gzipped, but can't be unpacked."
        ) from None
    if not unpacker.eof:
        raise ItemPermanent(
            ItemCode.IMAGE_CORRUPT, "The picture was sent gzipped, but the end of it is missing."
        )
