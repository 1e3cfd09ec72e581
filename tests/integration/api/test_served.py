"""What only shows behind a real socket: transfers, broken requests, starting and refusing to."""

import gzip
import http.client
import json
import re
import socket
from collections.abc import Iterator

import pytest

from shared.settings import SETTINGS_FAULT
from stack.ports import free_port
from tests.integration.api.conftest import product
from tests.integration.api.gunicorn_process import serving, start_gunicorn
from tests.servers import EmbeddedQdrantProcess, RedisServer


@pytest.fixture(scope="module")
def port(
    ledger_server: RedisServer,
    cache_server: RedisServer,
    qdrant_server: EmbeddedQdrantProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    with serving(
        API_THREADS="4",
        REDIS_URL=ledger_server.url,
        REDIS_CACHE_URL=cache_server.url,
        QDRANT_URL=qdrant_server.url,
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path_factory.mktemp("metrics")),
    ) as port:
        yield port


@pytest.fixture
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    yield connection
    connection.close()


def _raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(request)
        answer = b""
        while part := sock.recv(65536):
            answer += part
        return answer


def test_a_body_sent_in_chunks_is_taken(connection: http.client.HTTPConnection) -> None:
    lines = [json.dumps(product(f"p{n}")).encode() + b"\n" for n in range(300)]
    for body, headers in (
        (iter(lines), {}),
        (iter([gzip.compress(b"".join(lines))]), {"Content-Encoding": "gzip"}),
    ):
        connection.request(
            "POST",
            "/api/v1/index-products",
            body=body,
            headers={"Content-Type": "application/x-ndjson", **headers},
            encode_chunked=True,
        )
        answer = connection.getresponse()
        assert answer.status == 202
        assert json.loads(answer.read())["accepted"] == 300


@pytest.mark.parametrize("refused", [{"Content-Type": "text/plain"}, {"Content-Encoding": "br"}])
def test_a_connection_outlives_a_refused_body(
    connection: http.client.HTTPConnection, refused: dict[str, str]
) -> None:
    # A new connection would have another socket; http.client opens one where "close" is said.
    headers = {"Content-Type": "application/json", **refused}
    connection.request("POST", "/api/v1/index-products", body=b" " * 2**20, headers=headers)
    sock = connection.sock
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (415, "keep-alive")
    answer.read()
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    assert connection.sock is sock


@pytest.mark.parametrize("chunked", [True, False])
def test_a_client_that_sends_too_much_still_reads_the_refusal(
    connection: http.client.HTTPConnection, chunked: bool
) -> None:
    headers = {"Content-Type": "application/json"}
    body = iter([b" " * 2**20] * 40) if chunked else b" " * (40 * 2**20)
    connection.request(
        "POST", "/api/v1/index-products", body=body, headers=headers, encode_chunked=chunked
    )
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["code"] == "body_too_large"
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/9.9\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"POST /api/v1/search HTTP/1.1\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        (
            b"POST /api/v1/search HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json"
            b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
    ],
)
def test_what_is_no_request_is_answered_without_html(
    port: int, request_bytes: bytes, status: int
) -> None:
    head, _, body = _raw(port, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    ("path", "product_id"),
    [
        (b"/api/v1/products/..%2Fetc%2Fpasswd", "../etc/passwd"),
        (b"/api/v1/products/a/../b", "a/../b"),
        (b"/api/v1/products//a//", "/a//"),
        (b"/api/v1/products/%2e%2e", ".."),
    ],
)
def test_an_id_stays_as_it_was_sent(port: int, path: bytes, product_id: str) -> None:
    answer = _raw(
        port, b"DELETE " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["product_id"] == product_id


def test_no_header_names_another_path(port: int) -> None:
    answer = _raw(
        port,
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nSCRIPT_NAME: /healthz\r\n"
        b"PATH_INFO: /metrics\r\nX-Forwarded-Prefix: /y\r\nConnection: close\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'{"status":"ok"}\n')


def test_metrics_come_from_the_shared_directory(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    pattern = r'^http_requests_total\{method="GET",route="/healthz",status="200"\} \d'
    assert re.search(pattern, text, re.M)
    assert "ledger_up 1.0" in text


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"API_HOST": "0.0.0.0"}, "API_KEYS_FILE"),
        ({"API_KEYS_FILE": "/nowhere/keys"}, "API_KEYS_FILE"),
    ],
)
def test_a_process_that_would_be_open_to_all_does_not_start(
    settings: dict[str, str], named: str
) -> None:
    process = start_gunicorn("api.wsgi:app", API_PORT=str(free_port()), **settings)
    output, _ = process.communicate(timeout=60)
    # With any other code the supervisor would start it again, for ever.
    assert process.returncode == SETTINGS_FAULT
    assert named in output
    assert output.count("will not start") == 1
