"""SIGTERM: what has begun is answered, nothing new is taken, and the process ends in order."""

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.integration.api.conftest import product
from tests.integration.api.gunicorn_process import running
from tests.integration.fetch.picture_server import ScriptedServer, reply
from tests.pictures import picture
from tests.servers import EmbeddedQdrantProcess, RedisServer

WAIT = 3


@pytest.fixture
def pictures() -> Iterator[tuple[ScriptedServer, threading.Event]]:
    """A picture server that answers once it is told to."""
    go = threading.Event()

    def script(connection: socket.socket, _path: str, _head: str) -> None:
        go.wait(60)
        connection.sendall(reply(picture()))

    server = ScriptedServer(script)
    yield server, go
    go.set()
    server.close()


def _answer(client: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(client)
    response.begin()
    return response.status, response.read()


def _post(path: str, body: bytes) -> bytes:
    return (
        b"POST /api/v1/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body)
    )


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # closed between the two
        pass
    return False


def test_what_has_begun_is_answered_and_nothing_new_is_taken(
    ledger_server: RedisServer,
    cache_server: RedisServer,
    qdrant_server: EmbeddedQdrantProcess,
    pictures: tuple[ScriptedServer, threading.Event],
) -> None:
    shop, go = pictures
    products = [product(f"p{n}", description="x" * 1000) for n in range(200)]
    # A thread reads the one, which is large; the loop collects the other.
    batch = _post("index-products", json.dumps({"products": products}).encode())
    single = _post("index-product", json.dumps(product("alone")).encode())
    with (
        running(
            API_THREADS="8",
            REDIS_URL=ledger_server.url,
            REDIS_CACHE_URL=cache_server.url,
            QDRANT_URL=qdrant_server.url,
            IMAGE_ALLOWED_NETWORKS="127.0.0.0/8",
        ) as (process, port),
        ThreadPoolExecutor() as pool,
        ExitStack() as opened,
    ):

        def connect() -> socket.socket:
            client = opened.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 2**10)
            client.settimeout(60)
            client.connect(("127.0.0.1", port))
            return client

        idle = connect()
        # No worker runs, so this never ends.
        idle.sendall(_post("index-product", json.dumps(product("waiting")).encode()))
        place = json.loads(_answer(idle)[1])["status_url"]
        clients = {name: connect() for name in ("poll", "search", "batch", "single", "reader")}
        clients["poll"].sendall(
            f"GET {place}?wait={WAIT} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        )
        clients["search"].sendall(_post("search", json.dumps({"image_url": shop.url()}).encode()))
        clients["batch"].sendall(batch[: len(batch) // 2])
        clients["single"].sendall(single[:-10])
        clients["reader"].sendall(
            b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        began = time.monotonic()
        while not shop.requests or time.monotonic() - began < 1:  # all are in work
            time.sleep(0.02)

        process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        while not _refused(port):
            assert time.monotonic() - told < 30
            time.sleep(0.05)
        assert process.poll() is None

        go.set()
        clients["batch"].sendall(batch[len(batch) // 2 :])
        clients["single"].sendall(single[-10:])
        answers = dict(zip(clients, pool.map(_answer, clients.values()), strict=True))
        # By itself: after 35 s gunicorn would kill what still runs, and end with 0, too.
        assert process.wait(60) == 0
    assert {name: status for name, (status, _) in answers.items()} == {
        "poll": 200,
        "search": 200,
        "batch": 202,
        "single": 202,
        "reader": 200,
    }
    assert json.loads(answers["poll"][1])["state"] in ("queued", "running")
    assert json.loads(answers["search"][1])["query_type"] == "image"
    assert json.loads(answers["batch"][1])["accepted"] == 200
    assert len(answers["reader"][1]) > 10**6
