"""Clients that ask for much and read little, many at once, against the real server."""

import http.client
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import numpy as np
import pytest
import redis

from api.backlog import MAX_UNTAKEN_BYTES
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint, Tombstone
from shared.qdrant.service import QdrantService
from tests.integration.api.conftest import product
from tests.integration.api.gunicorn_process import serving
from tests.servers import EmbeddedQdrantProcess, RedisServer

MANY = 40
THREADS = 4
ANSWER_SECONDS = 4.0
PAGE = 100
ITEMS = 4000
DESCRIPTION = "x" * 8000
ATTRIBUTES = {f"a{n}": "y" * 1000 for n in range(14)}
PAGE_BYTES = PAGE * 22_000

SEARCH = json.dumps({"text_query": "wide skirt", "top_k": PAGE}).encode()
REQUESTS = {
    "a search": b"POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(SEARCH), SEARCH),
    "products": b"GET /api/v1/products?limit=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "items as lines": b"GET %s/items HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Accept: application/x-ndjson\r\n\r\n",
}
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def port(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> Iterator[int]:
    with serving(
        API_THREADS=str(THREADS),
        API_ANSWER_SECONDS=str(ANSWER_SECONDS),
        REDIS_URL=ledger_server.url,
        REDIS_CACHE_URL=cache_server.url,
        QDRANT_URL=qdrant_server.url,
    ) as port:
        index = QdrantService(qdrant_server.url, "products-served")
        index.upsert_products([_point(number) for number in range(PAGE)])
        yield port
        index.upsert_products(
            [Tombstone("default", f"wide-{number}", rev=PAGE + 1) for number in range(PAGE)]
        )
        index.close()
    admin = redis.Redis.from_url(ledger_server.url)
    admin.flushall()
    admin.close()


def _point(number: int) -> LivePoint:
    vector = np.random.default_rng(number).normal(size=512).astype(np.float32)
    return LivePoint(
        tenant="default",
        product=Product(
            **product(f"wide-{number}", description=DESCRIPTION, attributes=ATTRIBUTES)
        ),
        rev=number + 1,
        embedding=vector / np.float32(np.linalg.norm(vector)),
        image=ImageFacts(sha256="0" * 64),
        indexed_at="2026-01-01T00:00:00Z",
    )


@pytest.fixture(scope="module")
def job(port: int) -> bytes:
    """The place of a job whose items take 1 MB as lines."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        lines = b"".join(
            json.dumps(product(f"{number:0128}")).encode() + b"\n" for number in range(ITEMS)
        )
        connection.request(
            "POST", "/api/v1/index-products", lines, {"Content-Type": "application/x-ndjson"}
        )
        answer = connection.getresponse()
        assert answer.status == 202
        return str(json.loads(answer.read())["status_url"]).encode()


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as opened:

        def connected() -> socket.socket:
            client = opened.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 2**10)
            client.settimeout(20)
            client.connect(("127.0.0.1", port))
            return client

        yield connected


def search(port: int, number: int) -> float:
    """Seconds that a small search takes, on a connection of its own."""
    started = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        body = json.dumps({"text_query": f"red shirt {number}", "top_k": 1})
        connection.request("POST", "/api/v1/search", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
    return time.monotonic() - started


def answer(client: socket.socket, pause: float = 0.0) -> bytes:
    """The body of one answer, read in pieces with pauses between them."""
    response = http.client.HTTPResponse(client)
    response.begin()
    assert response.status == 200
    pieces = []
    while piece := response.read(64 * 2**10):
        pieces.append(piece)
        time.sleep(pause)
    return b"".join(pieces)


def was_cut(client: socket.socket) -> bool:
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(0))


@pytest.mark.parametrize(
    ("asked", "bytes_a_second"), [("a search", 0), ("products", 1), ("items as lines", 0)]
)
def test_searches_go_on_beside_many_who_do_not_read(
    port: int, job: bytes, connect: Callable[[], socket.socket], asked: str, bytes_a_second: int
) -> None:
    request = REQUESTS[asked].replace(b"%s/items", job + b"/items")
    clients = [connect() for _ in range(MANY)]
    for client in clients:
        client.sendall(request)
    # Every one of them is answered, so none holds one of the few threads.
    assert all(client.recv(1) for client in clients)
    for number in range(2):
        assert search(port, number) < 1.0
        for client in clients:
            if not was_cut(client):
                client.recv(bytes_a_second)
        time.sleep(bytes_a_second)


def test_who_reads_slowly_gets_it_all_and_may_go_on(
    job: bytes, connect: Callable[[], socket.socket]
) -> None:
    client = connect()
    wanted = [REQUESTS["a search"], REQUESTS["items as lines"] % job, REQUESTS["products"]]
    for request in wanted[::2]:
        client.sendall(request)
        page = json.loads(answer(client, pause=0.04))
        assert len(page.get("results") or page["products"]) == PAGE
    # All sent ahead: the answers keep their order.
    client.sendall(b"".join(wanted) + HEALTH)
    answers = b""
    while piece := client.recv(2**20):
        answers += piece
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == len(wanted) + 1
    ends = [b'"results":[', b'{"position":%d,' % (ITEMS - 1), b'"products":[', b'{"status":"ok"}']
    places = [answers.index(end) for end in ends]
    assert places == sorted(places)
    assert answers.endswith(ends[-1])


def test_who_does_not_read_is_cut_off_in_time(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    started = time.monotonic()
    client.sendall(REQUESTS["products"])
    while not was_cut(client):
        assert time.monotonic() - started < ANSWER_SECONDS + 3
        time.sleep(0.05)
    assert time.monotonic() - started > ANSWER_SECONDS - 0.5
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        answer(client)


def test_who_takes_nothing_is_cut_off_where_too_much_is_kept_for_all(
    connect: Callable[[], socket.socket],
) -> None:
    reader = connect()
    reader.sendall(REQUESTS["products"])
    response = http.client.HTTPResponse(reader)
    response.begin()
    length = response.length
    assert length is not None
    assert length > PAGE_BYTES
    got = 0
    others = []
    for _ in range(MAX_UNTAKEN_BYTES // length + 10):
        others.append(connect())
        others[-1].sendall(REQUESTS["products"])
        assert others[-1].recv(1)
        got += len(response.read(40_000))
    cut = [was_cut(client) for client in others]
    assert 5 <= sum(cut) < 20
    assert all(cut[: sum(cut)])  # those who came first have taken nothing for longest
    assert got + len(response.read()) == length
