"""The Idempotency-Key header."""

from typing import Final
from urllib.parse import urlencode

from flask import Request
from pydantic_core import to_json

from api.requests.parameters import Parameters
from api.requests.validation import Fault
from api.responses.problems import invalid
from shared.ledger import Idempotency

_HEADER: Final = "Idempotency-Key"
_MAX_LENGTH: Final = 255


def key_digest(request: Request) -> str | None:
    """The key as the ledger knows it, before the body is read; None without one."""
    key = request.headers.get(_HEADER)
    return Idempotency.of(key, "", b"").key if key else None


def idempotency(request: Request, parameters: Parameters, body: bytes) -> Idempotency | None:
    """The request that its key stands for; None without a key. Raises a 422 problem.

    The digest covers the unpacked body, because gzip writes the time into its header, and the
    parameters that are not at their defaults. The time that the caller waits is left out.
    """
    key = request.headers.get(_HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_LENGTH or not key.isascii() or not key.isprintable():
        message = f"must have 1 to {_MAX_LENGTH} printable ASCII characters"
        raise invalid([Fault(field=_HEADER, code="invalid_key", message=message)])
    given = parameters.model_dump(exclude={"wait"}, exclude_defaults=True)
    query = sorted((name, to_json(value).decode()) for name, value in given.items())
    return Idempotency.of(key, f"{request.method} {request.path}?{urlencode(query)}", body)
