"""What every request to Qdrant carries, whoever of this package sends it."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from shared.models.search.filters import Filters
from shared.qdrant.points import Tombstone
from shared.qdrant.recovery.index import VectorIndex
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from shared.qdrant.tuning import IndexTuning
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess

KEY = "a key of Qdrant's"

CALLS: dict[str, Callable[[str, str], object]] = {
    "create": lambda url, name: QdrantService(
        url, name, dimensions=DIMENSIONS, api_key=KEY
    ).ensure_collection(["color"]),
    "ready": lambda url, name: QdrantService(url, name, api_key=KEY).ready(),
    "search": lambda url, name: QdrantService(url, name, api_key=KEY).search(
        "default", [0.1] * DIMENSIONS, Filters(), 10
    ),
    "upsert": lambda url, name: QdrantService(url, name, api_key=KEY).upsert_product(
        Tombstone("default", "a", 1)
    ),
    "retrieve": lambda url, name: QdrantService(url, name, api_key=KEY).stored([("default", "a")]),
    "list": lambda url, name: QdrantService(url, name, api_key=KEY).list_products("default", 10),
    "purge": lambda url, name: QdrantService(url, name, api_key=KEY).purge_tombstones(1),
    "count": lambda url, name: PointTransfer(url, name, api_key=KEY).count(),
    "other models": lambda url, name: PointTransfer(url, name, api_key=KEY).other_models(),
    "back up": lambda url, name: list(PointTransfer(url, name, api_key=KEY).points()),
    "hold back": lambda url, name: VectorIndex(url, name, api_key=KEY).hold_back(),
    "tune": lambda url, name: VectorIndex(url, name, api_key=KEY).tune(IndexTuning()),
    "state": lambda url, name: VectorIndex(url, name, api_key=KEY).state(),
    "remove": lambda url, name: VectorIndex(url, name, api_key=KEY).remove(),
}


@dataclass
class Seen:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


class Recording:
    """Passes requests on to a server and keeps what they were."""

    def __init__(self, target: str) -> None:
        self.seen: list[Seen] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen.append(Seen(f"{self.command} {self.path}", headers, body))
                sent = {"Content-Type": headers.get("content-type", "application/json")}
                answer = httpx.request(
                    self.command, target + self.path, content=body, headers=sent, timeout=30
                )
                self.send_response(answer.status_code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def recording(qdrant_server: EmbeddedQdrantProcess) -> Iterator[Recording]:
    with closing(Recording(qdrant_server.url)) as server:
        yield server


@pytest.fixture
def name(qdrant_server: EmbeddedQdrantProcess) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    QdrantService(qdrant_server.url, name, dimensions=DIMENSIONS).ensure_collection([])
    yield name
    httpx.delete(f"{qdrant_server.url}/collections/{name}").raise_for_status()


@pytest.mark.parametrize("call", CALLS)
def test_every_request_takes_its_answer_as_it_is_and_brings_the_key(
    recording: Recording, name: str, call: str
) -> None:
    recording.seen.clear()
    CALLS[call](recording.url, name)
    assert recording.seen
    for request in recording.seen:
        assert request.headers["accept-encoding"] == "identity", request.line
        assert request.headers["api-key"] == KEY, request.line


READING = ("search", "retrieve", "list", "ready", "back up")


@pytest.mark.parametrize("call", READING)
def test_every_reading_request_says_what_it_wants_of_payloads_and_vectors(
    recording: Recording, name: str, call: str
) -> None:
    recording.seen.clear()
    CALLS[call](recording.url, name)
    (body,) = [each.body for each in recording.seen]
    assert {"with_payload", "with_vector"} <= json.loads(body).keys()
