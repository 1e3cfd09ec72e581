"""Around every request: its id, its line in the log, its metrics, safe headers."""

import re
import secrets
import time
from http import HTTPStatus
from typing import Final

import structlog
from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from api.requests.bodies import DISCARD_SECONDS, discard
from api.requests.targets import check_target
from api.responses.headers import SAFE_HEADERS
from shared.metrics import HTTP_REQUESTS, HTTP_SECONDS

_access = structlog.get_logger("api.access")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods with a time series of their own: a client could make up any number of others."""

_NOT_ADMITTED: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
)


def register_request_log(app: Flask) -> None:
    """Hooks into the app. To be called before anything else that hooks in."""

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        inbound = request.headers.get("X-Request-ID", "")
        g.request_id = inbound if _REQUEST_ID.fullmatch(inbound) else secrets.token_hex(8)
        # Threads serve one request after the other, and keep what was bound.
        clear_contextvars()
        bind_contextvars(request_id=g.request_id)
        check_target(request)

    @app.after_request
    def end(response: Response) -> Response:
        if request.method == "OPTIONS" and not response.get_data():
            response.status_code = 204
            del response.headers["Content-Type"]
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            # Refused before its body was looked at (401, 415, 429…): the rest of it would be taken
            # for the next request, or cost the client its connection after "keep-alive". A client
            # without a key holds no thread for long by it.
            refused = response.status_code in _NOT_ADMITTED
            discard(request, 0.5 if refused else DISCARD_SECONDS)
        response.headers["X-Request-ID"] = g.request_id
        for name, value in SAFE_HEADERS.items():
            response.headers.setdefault(name, value)
        _note(response)
        return response


def _note(response: Response) -> None:
    seconds = time.perf_counter() - g.started
    # The template, not the path: ids would be a time series each, and paths may hold anything.
    route = request.url_rule.rule if request.url_rule else "unmatched"
    method = request.method if request.method in _METHODS else "other"
    HTTP_REQUESTS.labels(route, method, str(response.status_code)).inc()
    HTTP_SECONDS.labels(route, method).observe(seconds)
    _access.info(
        "request",
        method=method,
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000, 2),
    )
