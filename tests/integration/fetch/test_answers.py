"""What picture servers do wrong, and the fault that each of it becomes."""

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from prometheus_client import REGISTRY

from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.fetch.faults import AnswerFault
from shared.fetch.fetcher import Fetcher
from shared.fetch.picture import FetchedPicture, Validators
from tests.integration.fetch.picture_server import (
    LOOPBACK,
    Script,
    ScriptedServer,
    StubResolver,
    head,
    reply,
    sends,
)

Serve = Callable[..., ScriptedServer]

_LENGTH = "Content-Length: 150000"


def told(picture: FetchedPicture | None) -> tuple[bytes, str | None, str | None]:
    assert picture is not None
    return picture.data, picture.etag, picture.last_modified


def fault_of(fetcher: Fetcher, url: str) -> ItemFault:
    with pytest.raises((ItemTransient, ItemPermanent)) as raised:
        fetcher.fetch(url)
    assert isinstance(raised.value, ItemTransient | ItemPermanent)
    return raised.value


def test_a_picture_comes_with_its_validators(serve: Serve, fetcher: Fetcher) -> None:
    modified = "Mon, 04 May 2026 12:00:00 GMT"
    server = serve(sends(reply(b"picture", 'ETag: "7"', f"Last-Modified: {modified}")))
    assert told(fetcher.fetch(server.url())) == (b"picture", '"7"', modified)


def test_the_content_type_is_not_trusted(serve: Serve, fetcher: Fetcher) -> None:
    lying = serve(sends(reply(b"<html>", "Content-Type: image/jpeg")))
    honest = serve(sends(reply(b"picture", "Content-Type: text/plain")))
    assert fetcher.fetch(lying.url()).data == b"<html>"
    assert fetcher.fetch(honest.url()).data == b"picture"


def test_the_request_says_what_it_wants_and_who_asks(serve: Serve, fetcher: Fetcher) -> None:
    server = serve(sends(reply(b"picture")))
    fetcher.fetch(server.url("/a.jpg?size=2#top"))
    lines = server.requests[0].split("\r\n")
    assert lines[0] == "GET /a.jpg?size=2 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert (
        "Accept: image/avif,image/webp,image/png,image/jpeg,image/gif,image/bmp,image/*;q=0.1"
        in lines
    )
    assert "Accept-Encoding: identity" in lines
    assert [line for line in lines if line.startswith("User-Agent: Vitrine/")]
    assert not [line for line in lines if line.startswith(("Cookie", "Authorization", "Referer"))]


def test_one_connection_serves_many_pictures(serve: Serve, fetcher: Fetcher) -> None:
    server = serve(sends(reply(b"picture", "Set-Cookie: session=1; Path=/")))
    for _ in range(5):
        fetcher.fetch(server.url())
    assert server.connections == 1
    assert "Cookie:" not in server.requests[-1]


def test_a_connection_outlives_redirects_and_missing_pictures(
    serve: Serve, fetcher: Fetcher
) -> None:
    def script(connection: socket.socket, path: str, _head: str) -> None:
        answers = {
            "/moved": reply(b"moved", "Location: /missing", status="302 Found"),
            "/missing": reply(b"nothing here", status="404 Not Found"),
        }
        connection.sendall(answers.get(path, reply(b"picture")))

    server = serve(script)
    assert fault_of(fetcher, server.url("/moved")).code == ItemCode.IMAGE_NOT_FOUND
    assert fetcher.fetch(server.url("/a.jpg")).data == b"picture"
    assert server.connections == 1


def test_a_connection_outlives_pictures_that_are_still_the_known_ones(
    serve: Serve, fetcher: Fetcher
) -> None:
    # Some servers announce the picture's length, which they don't send.
    answers = [head('ETag: "7"', *length, status="304 Not Modified") for length in ([], [_LENGTH])]

    def script(connection: socket.socket, path: str, _head: str) -> None:
        connection.sendall(answers[int(path[1:]) % 2])

    server = serve(script)
    for number in range(4):
        url = server.url(f"/{number}")
        assert fetcher.fetch_if_changed(url, Validators('"7"', None)) is None
    assert server.connections == 1


def test_no_other_url_says_that_a_redirecting_one_is_unchanged(
    serve: Serve, fetcher: Fetcher
) -> None:
    """It may lead to another, older picture now."""

    def script(connection: socket.socket, path: str, sent: str) -> None:
        if path == "/moved":
            connection.sendall(reply(b"", "Location: /there", status="302 Found"))
        elif "If-None-Match" in sent:
            connection.sendall(head(status="304 Not Modified"))
        else:
            connection.sendall(reply(b"picture", 'ETag: "7"'))

    url = serve(script).url("/moved")
    assert told(fetcher.fetch(url)) == (b"picture", None, None)
    again = fetcher.fetch_if_changed(url, Validators('"7"', None))
    assert told(again) == (b"picture", None, None)


def test_many_threads_fetch_at_once(serve: Serve) -> None:
    threads = 16
    together = threading.Barrier(threads)

    def script(connection: socket.socket, path: str, _head: str) -> None:
        together.wait(timeout=60)  # broken, hence a fault, unless all fetch at the same time
        connection.sendall(reply(path.encode()))

    server = serve(script)
    fetcher = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=60, connections=threads)
    paths = [f"/{number}" for number in range(2 * threads)]
    with ThreadPoolExecutor(threads) as pool:
        pictures = list(pool.map(lambda path: fetcher.fetch(server.url(path)).data, paths))
    fetcher.close()
    assert pictures == [path.encode() for path in paths]
    assert server.connections == threads


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("404 Not Found", ItemPermanent, ItemCode.IMAGE_NOT_FOUND),
        ("410 Gone", ItemPermanent, ItemCode.IMAGE_NOT_FOUND),
        ("403 Forbidden", ItemPermanent, ItemCode.IMAGE_HTTP_ERROR),
        ("204 No Content", ItemPermanent, ItemCode.IMAGE_HTTP_ERROR),
        ("302 Found", ItemPermanent, ItemCode.IMAGE_HTTP_ERROR),
        ("500 Internal Server Error", ItemTransient, ItemCode.IMAGE_HTTP_ERROR),
        ("503 Service Unavailable", ItemTransient, ItemCode.IMAGE_HTTP_ERROR),
    ],
)
def test_a_status_becomes_a_fault(
    serve: Serve, fetcher: Fetcher, status: str, kind: type[ItemFault], code: ItemCode
) -> None:
    fault = fault_of(fetcher, serve(sends(reply(b"", status=status))).url())
    assert isinstance(fault, kind)
    assert fault.code == code


def test_retry_after_in_seconds_and_as_a_date_is_honoured(serve: Serve, fetcher: Fetcher) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    for value, least, most in (("17", 17, 17), (date, 50, 60), ("86400", 3600, 3600)):
        answer = reply(b"", f"Retry-After: {value}", status="429 Too Many Requests")
        fault = fault_of(fetcher, serve(sends(answer)).url())
        assert isinstance(fault, ItemTransient)
        assert fault.code == ItemCode.IMAGE_HTTP_ERROR
        assert fault.retry_after is not None
        assert least <= fault.retry_after <= most


def test_an_empty_answer_is_no_picture(serve: Serve, fetcher: Fetcher) -> None:
    for answer in (reply(b""), head("Connection: close")):
        fault = fault_of(fetcher, serve(sends(answer, then_close=True)).url())
        assert fault.code == ItemCode.NOT_AN_IMAGE


def test_an_announced_length_beyond_the_limit_is_refused_before_the_body(
    serve: Serve, fetcher: Fetcher
) -> None:
    for length in ("100001", "9" * 18):
        server = serve(sends(head(f"Content-Length: {length}")))  # and never a body
        started = time.monotonic()
        assert fault_of(fetcher, server.url()).code == ItemCode.IMAGE_TOO_LARGE
        assert time.monotonic() - started < 30


def test_a_chunked_body_without_end_is_cut_at_the_limit(serve: Serve, fetcher: Fetcher) -> None:
    sent = []

    def script(connection: socket.socket, _path: str, _head: str) -> None:
        connection.sendall(head("Transfer-Encoding: chunked"))
        while True:
            connection.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            sent.append(0x1000)

    fault = fault_of(fetcher, serve(script).url())
    assert fault.code == ItemCode.IMAGE_TOO_LARGE


def test_a_body_until_close_beyond_the_limit_is_cut(serve: Serve, fetcher: Fetcher) -> None:
    server = serve(sends(head("Connection: close") + bytes(200_000), then_close=True))
    assert fault_of(fetcher, server.url()).code == ItemCode.IMAGE_TOO_LARGE


def test_less_than_announced_may_pass(serve: Serve, fetcher: Fetcher) -> None:
    bodies = (
        head("Content-Length: 50000") + bytes(20_000),
        head("Transfer-Encoding: chunked") + b"1000\r\n" + bytes(100),
        head("Transfer-Encoding: chunked") + b"5\r\npictu\r\n",
        b"",
    )
    for answer in bodies:
        fault = fault_of(fetcher, serve(sends(answer, then_close=True)).url())
        assert isinstance(fault, ItemTransient)
        assert fault.code == ItemCode.IMAGE_UNREACHABLE


def test_more_than_announced_does_not_reach_the_next_picture(
    serve: Serve, fetcher: Fetcher
) -> None:
    def script(connection: socket.socket, path: str, _head: str) -> None:
        if path == "/lie":
            connection.sendall(head("Content-Length: 3") + b"abcdef" + reply(b"forged"))
        else:
            connection.sendall(reply(b"picture"))

    server = serve(script)
    assert fetcher.fetch(server.url("/lie")).data == b"abc"
    assert fetcher.fetch(server.url("/honest")).data == b"picture"


def test_hosts_at_one_address_do_not_share_connections(serve: Serve) -> None:
    server = serve(sends(reply(b"picture")))
    resolver = StubResolver(a_example=[["127.0.0.1"]], b_example=[["127.0.0.1"]])
    fetcher = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=60, resolver=resolver)
    for host in ("a.example", "b.example", "a.example"):
        fetcher.fetch(f"http://{host}:{server.port}/")
    fetcher.close()
    assert server.connections == 2
    assert f"Host: b.example:{server.port}" in server.requests[1]


def test_a_gzip_bomb_is_not_unpacked_beyond_the_limit(serve: Serve, fetcher: Fetcher) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    server = serve(sends(reply(bomb, "Content-Encoding: gzip", "Content-Type: image/png")))
    assert fault_of(fetcher, server.url()).code == ItemCode.IMAGE_TOO_LARGE


def test_a_picture_stored_gzipped_is_unpacked(serve: Serve, fetcher: Fetcher) -> None:
    server = serve(sends(reply(gzip.compress(b"picture"), "Content-Encoding: gzip")))
    assert fetcher.fetch(server.url()).data == b"picture"


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Encoding: gzip, gzip"],
        ["Content-Encoding: gzip", "Content-Encoding: GZIP"],
        ["Content-Encoding: gzip, aws-chunked", "Content-Encoding: , x-gzip,"],
    ],
)
def test_a_picture_gzipped_twice_is_unpacked_twice(
    serve: Serve, fetcher: Fetcher, lines: list[str]
) -> None:
    server = serve(sends(reply(gzip.compress(gzip.compress(b"picture")), *lines)))
    assert fetcher.fetch(server.url()).data == b"picture"


@pytest.mark.parametrize("coding", ["aws-chunked", "br", "zstd", "utf-8", "none", "\xff", ""])
def test_what_is_no_coding_of_ours_changes_nothing(
    serve: Serve, fetcher: Fetcher, coding: str
) -> None:
    server = serve(sends(reply(b"picture", f"Content-Encoding: {coding}")))
    assert fetcher.fetch(server.url()).data == b"picture"


CHUNKED = head("Transfer-Encoding: chunked")


def floods(prefix: bytes, unit: bytes) -> Script:
    """Sends without end, as fast as it is read."""

    def script(connection: socket.socket, _path: str, _head: str) -> None:
        connection.sendall(prefix)
        while True:
            connection.sendall(unit)

    return script


@pytest.mark.parametrize(
    ("prefix", "unit", "code"),
    [
        pytest.param(CHUNKED + b"f" * 64 + b"\r\n", bytes(65_536), "image_too_large", id="2^256"),
        pytest.param(CHUNKED + b"-5\r\n", bytes(65_536), "image_unreachable", id="chunk of -5"),
        pytest.param(CHUNKED + b"1;", b"a" * 65_536, "image_unreachable", id="chunk extension"),
        pytest.param(
            CHUNKED, b"1;" + b"a" * 60_000 + b"\r\nx\r\n", "image_too_large", id="extensions"
        ),
        pytest.param(
            CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 1_000, "image_too_large", id="trailers"
        ),
        pytest.param(
            b"",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000,
            "image_unreachable",
            id="interim answers",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1_000, "image_unreachable", id="headers"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65_536, "image_unreachable", id="header"),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: /", b"y" * 65_536, "image_unreachable", id="Location"
        ),
    ],
)
def test_a_flood_is_left_after_what_an_answer_may_have(
    serve: Serve, prefix: bytes, unit: bytes, code: str
) -> None:
    server = serve(floods(prefix, unit))
    fetcher = Fetcher(LOOPBACK, max_bytes=100_000, timeout_seconds=60)
    assert fault_of(fetcher, server.url()).code == code
    fetcher.close()


EARLY = b"HTTP/1.1 103 Early Hints\r\n"

COSTLY = {
    "chunks of one byte": CHUNKED + b"1\r\nx\r\n" * 400_000,
    "lines that a lone CR ends": b"HTTP/1.1 200 OK\r\nX: y" + b"\rX:y" * 60_000 + b"\r\n\r\n",
    "such lines that go on": b"HTTP/1.1 200 OK\r\nX: y" + b"\r z" * 80_000 + b"\r\n\r\n",
    "such lines alone": b"HTTP/1.1 200 OK\r\nX: y" + b"\r" * 250_000 + b"\r\n\r\n",
    "such lines of interim answers": (EARLY + b"X: y" + b"\rX:y" * 60_000 + b"\r\n\r\n") * 10,
    "lines of interim answers": (EARLY + b"X:y\r\n" * 400 + b"\r\n") * 90,
    "bytes of interim answers": (EARLY + b"X: " + b"y" * 200_000 + b"\r\n\r\n") * 12,
}


@pytest.mark.parametrize("answer", COSTLY.values(), ids=COSTLY)
def test_an_answer_in_many_small_parts_costs_little_time(serve: Serve, answer: bytes) -> None:
    server = serve(sends(answer, then_close=True))
    fetcher = Fetcher(LOOPBACK, max_bytes=4_000_000, timeout_seconds=60)
    started = time.thread_time()
    fault = fault_of(fetcher, server.url())
    took = time.thread_time() - started
    fetcher.close()
    assert isinstance(fault, AnswerFault)
    assert fault.code == ItemCode.IMAGE_UNREACHABLE
    assert "too many" in fault.message or "without end" in fault.message
    assert took < 2  # seconds of this thread; the chunks take 0.4


def test_a_picture_may_come_in_many_chunks(serve: Serve) -> None:
    server = serve(sends(CHUNKED + b"1\r\nx\r\n" * 90_000 + b"0\r\n\r\n"))
    fetcher = Fetcher(LOOPBACK, max_bytes=1_000_000, timeout_seconds=60)
    assert fetcher.fetch(server.url()).size == 90_000
    fetcher.close()


def test_a_chunk_of_minus_one_byte_is_not_read_to_its_end(serve: Serve, fetcher: Fetcher) -> None:
    server = serve(sends(CHUNKED + b"-1\r\n" + bytes(30_000_000), then_close=True))
    tracemalloc.start()
    fault = fault_of(fetcher, server.url())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fault.code == ItemCode.IMAGE_UNREACHABLE
    assert peak < 1_000_000


def test_a_kept_connection_has_all_its_bytes_anew_for_each_picture(serve: Serve) -> None:
    server = serve(sends(reply(bytes(90_000))))
    fetcher = Fetcher(LOOPBACK, max_bytes=100_000, timeout_seconds=60)
    for _ in range(8):
        assert len(fetcher.fetch(server.url()).data) == 90_000
    fetcher.close()
    assert server.connections == 1


def drip(prefix: bytes, drop: bytes) -> Callable[[socket.socket, str, str], None]:
    def script(connection: socket.socket, _path: str, _head: str) -> None:
        connection.sendall(prefix)
        while True:
            connection.sendall(drop)
            time.sleep(0.1)

    return script


@pytest.mark.parametrize(
    ("prefix", "drop"),
    [
        pytest.param(head("Content-Length: 5000"), b"x", id="body"),
        pytest.param(head("Transfer-Encoding: chunked"), b"1\r\nx\r\n", id="chunked body"),
        pytest.param(head(), b"x", id="body until close"),
        pytest.param(head("Content-Length: 9000", status="404 No"), b"x", id="unwanted body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", id="endless header line"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="endless interim answers"),
        pytest.param(b"", b"", id="silence"),
    ],
)
def test_a_server_that_drips_is_left_at_the_deadline(
    serve: Serve, prefix: bytes, drop: bytes
) -> None:
    server = serve(drip(prefix, drop))
    fetcher = Fetcher(LOOPBACK, max_bytes=100_000, timeout_seconds=0.5)
    started = time.monotonic()
    fault = fault_of(fetcher, server.url())
    took = time.monotonic() - started
    fetcher.close()
    assert took < 30
    if b"404" in prefix:
        assert fault.code == ItemCode.IMAGE_NOT_FOUND
    else:
        assert isinstance(fault, ItemTransient)
        assert fault.code == ItemCode.IMAGE_TIMEOUT


def test_redirects_share_the_deadline(serve: Serve) -> None:
    def script(connection: socket.socket, _path: str, _head: str) -> None:
        time.sleep(0.3)
        connection.sendall(reply(b"", "Location: /again", status="302 Found"))

    server = serve(script)
    fetcher = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=0.8, max_redirects=200)
    started = time.monotonic()
    assert fault_of(fetcher, server.url()).code == ItemCode.IMAGE_TIMEOUT
    assert time.monotonic() - started < 30
    fetcher.close()


def test_a_kept_connection_has_a_new_deadline_for_each_picture(serve: Serve) -> None:
    server = serve(sends(reply(b"picture")))
    fetcher = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=2.4)
    for _ in range(4):
        assert fetcher.fetch(server.url()).data == b"picture"
        time.sleep(0.9)
    fetcher.close()
    assert server.connections == 1


def test_a_refused_connection_may_pass(fetcher: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fault = fault_of(fetcher, f"http://127.0.0.1:{port}/")
    assert isinstance(fault, ItemTransient)
    assert fault.code == ItemCode.IMAGE_UNREACHABLE


def test_a_server_that_speaks_no_http_may_pass(serve: Serve, fetcher: Fetcher) -> None:
    server = serve(sends(b"-ERR unknown command\r\n", then_close=True))
    assert fault_of(fetcher, server.url()).code == ItemCode.IMAGE_UNREACHABLE


def test_each_fetch_is_counted_by_how_it_ended(serve: Serve, fetcher: Fetcher) -> None:
    def count(result: str) -> float:
        return REGISTRY.get_sample_value("image_fetches_total", {"result": result}) or 0.0

    before = count("ok"), count("image_not_found")
    fetcher.fetch(serve(sends(reply(b"picture"))).url())
    fault_of(fetcher, serve(sends(reply(b"", status="404 Not Found"))).url())
    assert (count("ok"), count("image_not_found")) == (before[0] + 1, before[1] + 1)
