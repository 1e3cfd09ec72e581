"""Clients that are slow, greedy or silent, many at once, before a real nginx and the real API."""

import http.client
import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.integration.api.conftest import product
from tests.integration.proxy.conftest import THREADS, search

pytestmark = pytest.mark.slow

MANY = 64
IDLE = 1300

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

REFUSED = {
    "no HTTP": (b"nonsense\r\n\r\n", 400, "malformed"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed"),
    "two lengths": (
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        400,
        "malformed",
    ),
    "a long line": (
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        414,
        "uri_too_long",
    ),
    "a long head": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "a large body": (HEAD + b"Content-Length: 900000000\r\n\r\n{", 413, "body_too_large"),
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_searches_go_on_beside_many_slow_clients(
    port: int, connect: Callable[[], socket.socket], sent: bytes
) -> None:
    for client in [connect() for _ in range(MANY)]:
        client.sendall(sent)
    # Without a thread left for them, each would wait for seconds.
    assert max(search(port, number) for number in range(5)) < 8.0


def test_a_body_that_drips_holds_no_thread(port: int, connect: Callable[[], socket.socket]) -> None:
    clients = [connect() for _ in range(MANY)]
    for client in clients:
        client.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
    for number in range(5):
        for client in clients:
            client.sendall(b" ")
        assert search(port, number) < 8.0


def test_a_head_that_drips_is_cut_in_time(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    started = time.monotonic()
    client.settimeout(0.5)
    client.sendall(b"GET /healthz HTTP/1.1\r\n")
    while True:
        assert time.monotonic() - started < 50
        try:
            client.sendall(b"X: y\r\n")
            if client.recv(65536) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    assert time.monotonic() - started > 5


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


def test_large_bodies_are_all_taken(port: int) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(12)]
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


def test_a_client_that_does_not_read_its_answers_holds_no_thread(
    port: int, connect: Callable[[], socket.socket]
) -> None:
    get = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for _ in range(4 * THREADS):
        connect().sendall(get * 20)
    time.sleep(1.0)
    assert max(search(port, number) for number in range(5)) < 8.0


def test_who_reads_slowly_gets_it_all(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 2**10)
    client.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    answer = http.client.HTTPResponse(client)
    answer.begin()
    length = answer.length
    read = 0
    while part := answer.read(64 * 2**10):
        read += len(part)
        time.sleep(0.05)
    assert read == length


def test_searches_go_on_beside_idle_connections(
    port: int, connect: Callable[[], socket.socket]
) -> None:
    for _ in range(IDLE):
        connect()
    assert search(port, 7) < 2.0


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_the_proxy_refuses_with_problem_documents(
    connect: Callable[[], socket.socket], sent: bytes, status: int, code: str
) -> None:
    client = connect()
    client.sendall(sent)
    answer = http.client.HTTPResponse(client)
    answer.begin()
    problem = json.loads(answer.read())
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "code", "detail"}
