"""Every error answer: `application/problem+json` (RFC 9457) with a stable `code`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from api.requests.validation import Fault
from api.responses.answers import json_line
from shared.errors import (
    CatalogueTooLarge,
    EncoderBusy,
    IdempotencyConflict,
    InvalidCursor,
    LedgerFull,
    LedgerUnavailable,
    NothingToRetry,
    ProductNotFound,
    QdrantUnavailable,
    QueryPictureFault,
    RangeNotIndexed,
    SearchTimeout,
    SourcesCancelOut,
    TransientError,
    VitrineError,
)

_NAMED: Final = 5
"""Fields that the detail of a refusal names; the list of its errors has all."""

MEDIA_TYPE: Final = "application/problem+json"

_RETRY_AFTER_SECONDS: Final = 1.0
"""For transient errors that name no wait of their own."""

_STATUS_OF_ERROR: Final[Mapping[type[VitrineError], HTTPStatus]] = {
    QdrantUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    LedgerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    LedgerFull: HTTPStatus.SERVICE_UNAVAILABLE,
    EncoderBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    SearchTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
    IdempotencyConflict: HTTPStatus.CONFLICT,
    NothingToRetry: HTTPStatus.CONFLICT,
    InvalidCursor: HTTPStatus.UNPROCESSABLE_ENTITY,
    QueryPictureFault: HTTPStatus.UNPROCESSABLE_ENTITY,
    SourcesCancelOut: HTTPStatus.UNPROCESSABLE_ENTITY,
    CatalogueTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    RangeNotIndexed: HTTPStatus.UNPROCESSABLE_ENTITY,
    ProductNotFound: HTTPStatus.NOT_FOUND,
}
"""The most telling class of an error's ancestry counts. Their messages are written for clients;
every other error is a fault of ours, and its words stay in the log."""

_PUBLIC_DETAIL: Final[Mapping[type[VitrineError], str]] = {
    QdrantUnavailable: "the index does not answer; try again shortly",
    LedgerUnavailable: "the ledger does not answer; try again shortly, with the same "
    "Idempotency-Key if you sent one",
}
"""A client may learn that a part is down, but not its address."""

_CODE_OF_STATUS: Final[Mapping[int, str]] = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    411: "length_required",
    413: "body_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    417: "expectation_failed",
    422: "validation_failed",
    429: "too_many_requests",
    431: "headers_too_large",
    500: "internal_error",
    501: "not_implemented",
    503: "unavailable",
}


@dataclass
class Problem(Exception):
    """An error answer, raised from anywhere below a view."""

    status: int
    code: str
    detail: str
    extensions: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        super().__init__(self.detail)


def invalid(faults: Sequence[Fault], *, code: str = "validation_failed") -> Problem:
    """422: the request was understood, and these are all its faults."""
    fields = list(dict.fromkeys(fault["field"] or "body" for fault in faults))
    named = ", ".join(fields[:_NAMED])
    if len(fields) > _NAMED:
        named += f" and {len(fields) - _NAMED} more"
    return Problem(422, code, f"not acceptable: {named}", {"errors": list(faults)})


def problem_document(
    status: int, code: str, detail: str, extensions: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The members of a problem, in the order people read them."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **(extensions or {}),
    }


def problem_of(error: Exception) -> Problem:
    """The one table from errors to HTTP: ours, HTTP's own, and unforeseen ones."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _from_http(error)
    if isinstance(error, VitrineError):
        return _from_ours(error)
    return Problem(500, "internal_error", "an error on our side; it has been logged")


def register_problems(app: Flask) -> None:
    """Makes every error of the app a problem document; unforeseen ones are logged with trace."""

    def answer(error: Exception) -> Response:
        problem = problem_of(error)
        log = structlog.get_logger("api")
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request_failed", exc_info=error)
        elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request_refused", code=problem.code, error=str(error))
        return problem_response(problem)

    # flask's own handling would turn these into HTML or raise them through the server.
    app.register_error_handler(Exception, answer)
    app.register_error_handler(HTTPException, answer)


def problem_response(problem: Problem) -> Response:
    """The problem as a response, with the request's id to find it in the log."""
    extensions = dict(problem.extensions or {})
    if request_id := g.get("request_id"):
        extensions["request_id"] = request_id
    document = problem_document(problem.status, problem.code, problem.detail, extensions)
    return Response(
        json_line(document),
        problem.status,
        headers=dict(problem.headers or {}),
        content_type=MEDIA_TYPE,
    )


def _from_http(error: HTTPException) -> Problem:
    status = error.code or 500
    # Allow, WWW-Authenticate, Retry-After; the body's own headers belong to werkzeug's HTML.
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    code = _CODE_OF_STATUS.get(status, HTTPStatus(status).name.lower())
    detail = error.description or HTTPStatus(status).phrase
    if isinstance(error, NotFound):
        detail = "there is nothing at this path; the API is described at /docs"
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        detail = f"this path takes {', '.join(sorted(error.valid_methods))} only"
    return Problem(status, code, detail, headers=headers)


def _from_ours(error: VitrineError) -> Problem:
    family = next((cls for cls in type(error).__mro__ if cls in _STATUS_OF_ERROR), None)
    if family is None:
        return Problem(500, "internal_error", "an error on our side; it has been logged")
    detail = next(
        (_PUBLIC_DETAIL[cls] for cls in type(error).__mro__ if cls in _PUBLIC_DETAIL),
        error.message,
    )
    extensions: dict[str, Any] | None = None
    if isinstance(error, QueryPictureFault):
        fault = Fault(field=error.field, code=error.code, message=error.message)
        extensions = {"errors": [fault], "retryable": error.retryable}
    if isinstance(error, InvalidCursor):
        fault = Fault(field="cursor", code=error.code, message=error.message)
        extensions = {"errors": [fault]}
    headers = None
    if isinstance(error, TransientError):
        wait = error.retry_after if error.retry_after is not None else _RETRY_AFTER_SECONDS
        headers = {"Retry-After": str(max(1, math.ceil(wait)))}
    return Problem(int(_STATUS_OF_ERROR[family]), error.code, detail, extensions, headers)
