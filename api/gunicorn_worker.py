"""gunicorn's threaded worker with two changes: its refusals, and its end of listening.

Slow clients are left to the proxy (deploy/nginx.conf), which hands on whole requests and takes
whole answers.
"""

import select
from http import HTTPStatus
from typing import Any, Final

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from api.responses.answers import json_line
from api.responses.headers import SAFE_HEADERS
from api.responses.problems import MEDIA_TYPE, problem_document

_REFUSALS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (errors.LimitRequestLine, 414, "uri_too_long"),
    (errors.LimitRequestHeaders, 431, "headers_too_large"),
    (errors.ExpectationFailed, 417, "expectation_failed"),
    (errors.UnsupportedTransferCoding, 501, "not_implemented"),
    (errors.ParseException, 400, "malformed"),
)
"""Requests that gunicorn refuses before the app sees them; the most telling class first."""


class ProblemWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Answers malformed requests with `application/problem+json`."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """As in `ThreadWorker`, but closes the sockets at SIGTERM.

        `ThreadWorker` would keep them listening until it ends, and cut off clients that connect
        meanwhile. Closed at once, they send a client or a proxy to the next process, so that a
        rolling restart loses no request.
        """
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                while select.select([listener], [], [], 0)[0]:  # connected clients are served
                    self.accept(listener)
                listener.close()

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: Exception) -> None:
        """As in `gunicorn.workers.base.Worker`, but without HTML and the client's own words."""
        status, code = _refusal(exc)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("Error handling request")
        else:
            self.log.warning("Invalid request: %s", exc)
        try:
            util.write_nonblock(client, _answer(status, code))
        except OSError:
            self.log.debug("Failed to send error message.")


def _refusal(exc: Exception) -> tuple[int, str]:
    for error, status, code in _REFUSALS:
        if isinstance(exc, error):
            return status, code
    return 500, "internal_error"


def _answer(status: int, code: str) -> bytes:
    document = problem_document(status, code, "this is no request that can be served")
    body = json_line(document)
    headers = {
        "Connection": "close",
        "Content-Type": MEDIA_TYPE,
        "Content-Length": len(body),
        **SAFE_HEADERS,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {document['title']}\r\n{lines}\r\n".encode("ascii") + body
