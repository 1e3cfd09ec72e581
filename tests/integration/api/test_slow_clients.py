"""Clients that are slow, greedy or silent, many at once, against the real server."""

import http.client
import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.integration.api.conftest import product
from tests.integration.api.gunicorn_process import serving
from tests.servers import EmbeddedQdrantProcess, RedisServer

MANY = 64
THREADS = 4
BODY_SECONDS = 3.0

HEAD = (
    b"POST /api/v1/index-products HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
)

SLOW = {
    "silent": b"",
    "half a request line": b"GET /api/v1/sea",
    "headers without end": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n",
    "empty lines": b"\r\n\r\n\r\n",
    "a small body": HEAD + b'Content-Length: 100\r\n\r\n{"products"',
    "a large body": HEAD + b'Content-Length: 1000000\r\n\r\n{"products"',
    "chunks without end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "a body to be asked for": HEAD + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    "refused, and stays": b"nonsense\r\n\r\n",
    "a body that is far too large": HEAD + b"Content-Length: 900000000\r\n\r\n{",
}


@pytest.fixture(scope="module")
def port(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> Iterator[int]:
    with serving(
        API_THREADS=str(THREADS),
        API_BODY_SECONDS=str(BODY_SECONDS),
        REDIS_URL=ledger_server.url,
        REDIS_CACHE_URL=cache_server.url,
        QDRANT_URL=qdrant_server.url,
    ) as port:
        yield port


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection(("127.0.0.1", port), 30))


def search(port: int, number: int) -> float:
    """Seconds that a search takes, on a connection of its own."""
    started = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        body = json.dumps({"text_query": f"red shirt {number}"})
        connection.request("POST", "/api/v1/search", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
    return time.monotonic() - started


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_searches_go_on_beside_many_slow_clients(
    port: int, connect: Callable[[], socket.socket], sent: bytes
) -> None:
    for client in [connect() for _ in range(MANY)]:
        client.sendall(sent)
    # Without a thread left for them, each would wait for seconds.
    assert max(search(port, number) for number in range(5)) < 1.0


def test_a_body_that_drips_is_refused_in_time(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    client.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
    started = time.monotonic()
    client.settimeout(0.2)
    answer = b""
    while not answer:
        assert time.monotonic() - started < BODY_SECONDS + 2
        client.sendall(b" ")
        try:
            answer = client.recv(65536)
        except TimeoutError:
            continue
    assert time.monotonic() - started > BODY_SECONDS - 0.5
    client.settimeout(5)
    while b"}" not in answer:  # its body may come in a packet of its own
        more = client.recv(65536)
        assert more, answer
        answer += more
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


def test_a_head_that_drips_is_refused_in_time(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    started = time.monotonic()
    client.settimeout(0.5)
    client.sendall(b"GET /healthz HTTP/1.1\r\n")
    answer = b""
    while not answer:
        assert time.monotonic() - started < 14
        client.sendall(b"X: y\r\n")
        try:
            answer = client.recv(65536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer


def test_a_head_without_end_is_cut(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    client.settimeout(5)
    client.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
    assert client.recv(65536).startswith(b"HTTP/1.1 431 ")


def test_a_request_may_come_byte_by_byte(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    body = json.dumps(product("drop-by-drop")).encode()
    request = (
        b"POST /api/v1/index-product HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(2):  # the connection is kept
        for byte in request + body:
            client.sendall(bytes([byte]))
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 202, number
        answer.read()


def test_requests_sent_ahead_are_answered_in_order(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    get = b"GET /api/v1/products/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    client.sendall(b"".join(get % number for number in range(20)) + b"GET /healthz HTTP/1.1\r\n")
    client.sendall(b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answers = b""
    while part := client.recv(65536):
        answers += part
    assert answers.count(b"HTTP/1.1 404 ") == 20
    assert answers.endswith(b'{"status":"ok"}')


def test_large_bodies_take_turns_and_none_is_lost(port: int) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(12)]
    for number, connection in enumerate(connections):
        products = [product(f"p{number}-{n}", description="x" * 200) for n in range(400)]
        connection.request(
            "POST",
            "/api/v1/index-products",
            json.dumps({"products": products}),
            {"Content-Type": "application/json"},
        )
    for connection in connections:
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["accepted"]) == (202, 400)
        connection.close()


def test_a_client_that_does_not_read_its_answers_holds_up_nobody(
    port: int, connect: Callable[[], socket.socket]
) -> None:
    get = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for _ in range(THREADS - 1):
        connect().sendall(get * 20)
    assert search(port, 99) < 1.0


def test_more_connections_than_there_is_room_for_make_room(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, limit[1]))
    try:
        with serving(
            REDIS_URL=ledger_server.url,
            REDIS_CACHE_URL=cache_server.url,
            QDRANT_URL=qdrant_server.url,
        ) as port:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            with ExitStack() as opened:
                for _ in range(1100):
                    opened.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                assert search(port, 7) < 2.0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
