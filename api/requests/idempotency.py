"""The Idempotency-Key header."""

from typing import Final
from urllib.parse import urlencode

from flask import Request

from api.requests.validation import Fault
from api.responses.problems import invalid
from shared.ledger import Idempotency

_HEADER: Final = "Idempotency-Key"
_MAX_LENGTH: Final = 255


def key_digest(request: Request) -> str | None:
    """The key as the ledger knows it, before the body is read; None without one."""
    key = request.headers.get(_HEADER)
    return Idempotency.of(key, "", b"").key if key else None


def idempotency(request: Request, body: bytes) -> Idempotency | None:
    """What the request's key stands for; None without one. Raises a 422 problem.

    The digest covers the unpacked body, since gzip writes the time into its header. How long the
    caller is willing to wait is no part of what is asked for.
    """
    key = request.headers.get(_HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_LENGTH or not key.isascii() or not key.isprintable():
        message = f"must have 1 to {_MAX_LENGTH} printable ASCII characters"
        raise invalid([Fault(field=_HEADER, code="invalid_key", message=message)])
    query = sorted((name, value) for name, value in request.args.items() if name != "wait")
    return Idempotency.of(key, f"{request.method} {request.path}?{urlencode(query)}", body)
