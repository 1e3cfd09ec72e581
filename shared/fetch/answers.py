"""The meaning of a picture server's answer: a picture, a redirect, or a fault of the item."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.fetch.http1 import Head

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
_ASCII: Final = bytes(range(128))
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_WITHOUT_PICTURE: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT})

_PASSING: Final = frozenset(
    {202, 304, 408, 419, 420, 421, 423, 424, 425, 429, 430, 440, 444, 449, 460, 498, 499}
)
"""By the standard: not ready yet (202), an answer to a condition that was not set (304), wrong
connection, locked, depends on another, too early. By custom: too many requests (420 and 430 of
shops' platforms), sessions and tokens that ran out (419, 440, 498), nginx' and proxies' clients
that left (444, 460, 499), "try again" (449)."""
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x20\x21\x23-\x7e\x80-\xff]{1,998}"')
_DATE: Final = re.compile(r"[A-Za-z0-9,:+ -]{1,100}")
_SECONDS: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)


def redirect_location(head: Head) -> str | None:
    """The URL that a redirect leads to; None if the answer is no redirect with a `Location`."""
    location = head.get("location")
    if head.status not in REDIRECTS or not location:
        return None
    try:
        # Header bytes arrive as Latin-1, servers mean UTF-8.
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        # Its other bytes go back as they came, as browsers send them: so a server finds its own
        # name again, in whatever encoding it wrote it.
        return quote(location, safe=_ASCII, encoding="latin-1")


def status_fault(head: Head, now: datetime | None = None) -> ItemFault | None:
    """The fault that the answer's status means, or None if its body is the picture."""
    status = head.status
    if status in _GONE:
        return ItemPermanent(
            ItemCode.IMAGE_NOT_FOUND, f"The picture server has no such picture (HTTP {status})."
        )
    message = f"The picture server answered with HTTP {status}."
    wait = retry_after(head.get("retry-after"), now or datetime.now(UTC))
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ItemTransient(ItemCode.IMAGE_HTTP_ERROR, message, wait)
    if status == HTTPStatus.PARTIAL_CONTENT and _is_part(head.get("content-range")):
        message = "The picture server sent a part of the picture (HTTP 206)."
    elif status <= HTTPStatus.MULTIPLE_CHOICES and status not in _WITHOUT_PICTURE:
        return None
    elif wait is not None:  # whatever the refusal is, it ends
        return ItemTransient(ItemCode.IMAGE_HTTP_ERROR, message, wait)
    return ItemPermanent(ItemCode.IMAGE_HTTP_ERROR, message)


def _is_part(content_range: str | None) -> bool:
    """Whether the range says that bytes are missing; one that can't be read says nothing."""
    found = _RANGE.fullmatch(content_range or "")
    if found is None:
        return False
    first, last, size = found.groups()
    return int(first) > 0 or (size != "*" and int(last) + 1 < int(size))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header, which gives seconds or a date (RFC 9110).

    Bounded to 0 … `MAX_RETRY_AFTER_SECONDS`; None if the header is absent or unreadable.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)  # also of thousands of digits, which are infinite then
    elif (date := _read_date(text)) is not None:
        seconds = (date - now).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def entity_tag(value: str | None) -> str | None:
    """An `ETag` that can be kept and sent back; None if it is no entity-tag.

    `*` would fit every picture, and an empty one says nothing of this one.
    """
    return value if value is not None and _ENTITY_TAG.fullmatch(value) else None


def http_date(value: str | None) -> str | None:
    """A `Last-Modified` that can be kept and sent back; None if it is no date."""
    return value if value is not None and _read_date(value) is not None else None


def _read_date(text: str) -> datetime | None:
    if not _DATE.fullmatch(text):
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text)
        except (ValueError, OverflowError, IndexError, TypeError):
            continue
        # "-0000", or no zone: UTC.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return None
