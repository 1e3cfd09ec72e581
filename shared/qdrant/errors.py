"""Qdrant's failures in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import httpx
from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from shared.errors import QdrantRejected, QdrantUnavailable

# What is wrong with a request of ours. All else is the server's state or set-up (a wrong key, a
# collection that is gone, an operation it lacks), and no product's fault.
_OURS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Raise QdrantUnavailable or QdrantRejected for what the client raises.

    `operation` is named in the message, as in "Qdrant failed to search: …".
    """
    try:
        yield
    except UnexpectedResponse as err:
        raise _of_response(operation, err) from err
    except ResourceExhaustedResponse as err:
        message = f"Qdrant is overloaded and refused to {operation}: {err}"
        raise QdrantUnavailable(message, retry_after=float(err.retry_after_s)) from err
    except ResponseHandlingException as err:
        raise QdrantUnavailable(f"Qdrant failed to {operation}: {_reason(err.source)}") from err
    except (QdrantException, ApiException, httpx.HTTPError, ValueError) as err:
        # QdrantException: a 429 whose Retry-After isn't a number, which its client can't read.
        # ValueError: a body that isn't JSON, as proxies send in Qdrant's stead.
        raise QdrantUnavailable(f"Qdrant failed to {operation}: {_reason(err)}") from err


def _of_response(operation: str, err: UnexpectedResponse) -> QdrantUnavailable | QdrantRejected:
    status = err.status_code or HTTPStatus.INTERNAL_SERVER_ERROR
    detail = f"{status} {err.content[:500].decode(errors='replace')}"
    if status in _OURS:
        return QdrantRejected(f"Qdrant refused to {operation}: {detail}")
    return QdrantUnavailable(f"Qdrant failed to {operation}: {detail}", _retry_after(err))


def _retry_after(err: UnexpectedResponse) -> float | None:
    value = err.headers.get("Retry-After", "") if err.headers else ""
    return float(value) if value.isdecimal() else None  # its other form, a date, Qdrant never uses


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, ValidationError):
        return "its answer has an unknown form"
    return str(error) or type(error).__name__
