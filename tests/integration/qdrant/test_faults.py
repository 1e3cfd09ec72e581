"""What goes wrong on the way to Qdrant, in our words: one row per kind of failure."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.errors import QdrantRejected, QdrantUnavailable
from shared.models.search.filters import Filters
from shared.qdrant.points import Tombstone
from shared.qdrant.service import QdrantService
from tests.servers import DIMENSIONS

CALLS: dict[str, Callable[[QdrantService], object]] = {
    "search": lambda it: it.search("default", [0.0] * DIMENSIONS, Filters(), 10),
    "upsert": lambda it: it.upsert_product(Tombstone("default", "a", 1)),
    "stored": lambda it: it.stored([("default", "a")]),
    "list": lambda it: it.list_products("default", 10),
    "purge": lambda it: it.purge_tombstones(1),
    "set up": lambda it: it.ensure_collection(["color"]),
}


class Answering:
    """A server that gives every request the same answer."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = answer  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service_at() -> Iterator[Callable[[str], QdrantService]]:
    services: list[QdrantService] = []

    def make(url: str) -> QdrantService:
        services.append(QdrantService(url, "products", read_timeout=1, write_timeout=1))
        return services[-1]

    yield make
    for service in services:
        service.close()


ERROR = b'{"status": {"error": "the reason"}, "time": 0.0}'
ROWS = [
    (400, ERROR, {}, QdrantRejected, None),
    (401, b"Must provide an API key", {}, QdrantUnavailable, None),
    (403, ERROR, {}, QdrantUnavailable, None),
    (404, ERROR, {}, QdrantUnavailable, None),
    (413, ERROR, {}, QdrantRejected, None),
    (422, ERROR, {}, QdrantRejected, None),
    (501, ERROR, {}, QdrantUnavailable, None),
    (408, ERROR, {}, QdrantUnavailable, None),
    (429, ERROR, {}, QdrantUnavailable, None),
    (429, ERROR, {"Retry-After": "7"}, QdrantUnavailable, 7.0),
    (429, ERROR, {"Retry-After": "soon"}, QdrantUnavailable, None),
    (500, ERROR, {}, QdrantUnavailable, None),
    (502, b"<html>bad gateway</html>", {}, QdrantUnavailable, None),
    (503, ERROR, {"Retry-After": "3"}, QdrantUnavailable, 3.0),
    (507, ERROR, {}, QdrantUnavailable, None),
    (200, b"<html>a login page</html>", {}, QdrantUnavailable, None),
    (200, b'{"result": 5, "status": "ok"}', {}, QdrantUnavailable, None),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("status", "body", "headers", "error", "retry_after"), ROWS)
def test_an_answer_other_than_success(
    *,
    service_at: Callable[[str], QdrantService],
    call: str,
    status: int,
    body: bytes,
    headers: dict[str, str],
    error: type[QdrantUnavailable | QdrantRejected],
    retry_after: float | None,
) -> None:
    with closing(Answering(status, body, headers)) as server:
        service = service_at(server.url)
        with pytest.raises(error) as caught:
            CALLS[call](service)
        assert caught.value.__cause__ is not None
        assert getattr(caught.value, "retry_after", None) == retry_after
        assert not service.ready()


@pytest.mark.parametrize("call", CALLS)
def test_nobody_listens(service_at: Callable[[str], QdrantService], call: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        service = service_at(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(QdrantUnavailable):
            CALLS[call](service)
        assert not service.ready()


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_never_answers_is_given_up(
    service_at: Callable[[str], QdrantService], call: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service = service_at(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(QdrantUnavailable, match="no answer in time"):
            CALLS[call](service)


def test_a_write_that_is_not_applied_in_time_counts_as_unknown(
    service_at: Callable[[str], QdrantService],
) -> None:
    body = b'{"result": {"operation_id": 1, "status": "wait_timeout"}, "status": "ok", "time": 0}'
    with closing(Answering(200, body, {})) as server, pytest.raises(QdrantUnavailable):
        CALLS["upsert"](service_at(server.url))


def test_the_api_key_travels_as_a_header_without_a_warning() -> None:
    service = QdrantService("http://127.0.0.1:1", "products", api_key="throw-away")
    with pytest.raises(QdrantUnavailable):
        service.list_products("default", 10)
    service.close()
