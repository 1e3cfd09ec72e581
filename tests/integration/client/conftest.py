"""A service's place taken by a real HTTP server whose answers each test chooses."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from vitrine.main import main

_LOOK_SECONDS = 0.02
"""Between two looks whether the server shall end; the usual half second adds up."""


class Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class Reply(NamedTuple):
    status: int
    body: Any
    """JSON, or bytes as they are."""
    headers: Mapping[str, str] = {}


class Service:
    """Answers with what `answer` makes of a request, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Reply] = lambda _: Reply(200, {})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_SECONDS,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def run(self, *arguments: str, **environment: str) -> Result:
        """The command with these arguments, against this service."""
        # Wide enough that no table is broken.
        given = {"VITRINE_URL": self.url, "COLUMNS": "200", **environment}
        return CliRunner(env=given).invoke(main, arguments)

    def __enter__(self) -> "Service":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                body = json.loads(content) if content else None
                request = Request(self.command, self.path, dict(self.headers), body)
                service.requests.append(request)
                reply = service.answer(request)
                said = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body)
                sent = said if isinstance(said, bytes) else said.encode()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_POST = do_GET  # noqa: N815 - the name is http.server's

            def log_message(self, *_: object) -> None:
                """Tests read `requests` instead."""

        return Handler


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


def problem(status: int, code: str, detail: str, **headers: str) -> Reply:
    """An error as the API answers it."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return Reply(status, body, {name.replace("_", "-"): text for name, text in headers.items()})
