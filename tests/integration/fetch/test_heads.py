"""Answers as real servers send them, and what browsers make of them."""

import socket
import time
from collections.abc import Callable

import pytest

from shared.errors import ItemCode, ItemTransient
from shared.fetch.fetcher import Fetcher
from shared.fetch.hosts import FAILURES_IN_A_ROW
from tests.integration.fetch.picture_server import (
    LOOPBACK,
    Script,
    ScriptedServer,
    head,
    reply,
    sends,
)

Serve = Callable[..., ScriptedServer]

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 7\r\n"
END = b"\r\npicture"
PICTURE = reply(b"picture")

ODD_LINES = {
    "space before the colon": b"X-Powered-By : PHP\r\n",
    "tab before the colon": b"X-Powered-By\t:\tPHP\r\n",
    "no colon": b"nonsense\r\n",
    "no colon, with spaces": b"PHP Warning  in line 7\r\n",
    "no name": b": x\r\n",
    "spaces for a name": b"X Y Z: x\r\n",
    "NUL in the value": b"X: a\0b\r\n",
    "NUL in the name": b"X\0Y: a\r\n",
    "Latin-1": b"X-Caf\xe9: \xff\xfe\r\n",
    "UTF-8": "X-Größe: ü\r\n".encode(),
    "begins with a space": b" X: y\r\n",
    "goes on in the next line": b"X: a\r\n b\r\n\tc\r\n",
    "two CR": b"X: a\r\r\n",
    "lone CR": b"X: a\rY: b\r\n",
    "LF alone": b"X: a\n",
    "no space after the colon": b"X:a\r\n",
    "no value": b"X:\r\n",
    "many colons": b"X: a: b:: c\r\n",
    "control characters": b"X: \x01\x1b[31m\x7f\r\n",
    "another status line": b"HTTP/1.1 200 OK\r\n",
    "long": b"X: " + b"y" * 100_000 + b"\r\n",
    "many": b"".join(b"X-Debug-%d: %d\r\n" % (n, n) for n in range(400)),
    "many of one name": b"X: y\r\n" * 400,
    "unknown coding of the transfer": b"Transfer-Encoding: identity\r\n",
    "another unknown one": b"Transfer-Encoding: foo\r\n",
}


@pytest.mark.parametrize("line", ODD_LINES.values(), ids=ODD_LINES)
@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_is_odd_costs_that_line_alone(
    serve: Serve, fetcher: Fetcher, line: bytes, first: bool
) -> None:
    head = OK + line + LENGTH if first else OK + LENGTH + line
    server = serve(sends(head + END))
    started = time.monotonic()
    for _ in range(3):
        assert fetcher.fetch(server.url()).data == b"picture"
    assert time.monotonic() - started < 30  # it waited for nothing


STATUS_LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.1 200 Alles \xfc in Ordnung",
    b"HTTP/1.1  200  OK",
    b"HTTP/1.1\t200\tOK",
    b"HTTP/1.1 200OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.2 200 OK",
    b"HTTP/2 200",
    b"HTTP/2.0 200 OK",
    b"HTTP 200 OK",
    b"http/1.1 200 ok",
    b"HTTP/1.1 OK",
    b"HTTP/1.1",
    b"ICY 200 OK",
    b"\r\nHTTP/1.1 200 OK",
    b"\nHTTP/1.1 200 OK",
    b"\xef\xbb\xbfHTTP/1.1 200 OK",
    b"HTTP/1.1 203 x",
    b"HTTP/1.1 201 Created",
    b"HTTP/1.1 299 x",
]


@pytest.mark.parametrize("line", STATUS_LINES)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_status_line_is_read_as_browsers_read_it(
    serve: Serve, fetcher: Fetcher, line: bytes, end: bytes
) -> None:
    server = serve(sends(line + end + LENGTH + END))
    assert fetcher.fetch(server.url()).data == b"picture"


BODIES = {
    "length with a space before the colon": OK + b"Content-Length : 7\r\n" + END,
    "length twice": OK + 2 * LENGTH + END,
    "length as a list": OK + b"Content-Length: 7, 7\r\n" + END,
    "length with a plus": OK + b"Content-Length: +7\r\n" + END,
    "length with its unit": OK + b"Content-Length: 7 bytes\r\n" + END,
    "length with noughts": OK + b"Content-Length: 0007\r\n" + END,
    "length and identity": OK + LENGTH + b"Transfer-Encoding: identity\r\n" + END,
    "length and chunks": OK
    + LENGTH
    + b"Transfer-Encoding: chunked\r\n\r\n7\r\npicture\r\n0\r\n\r\n",
    "chunks of two codings": OK
    + b"Transfer-Encoding: identity, Chunked\r\n\r\n3\r\npic\r\n4\r\nture\r\n0\r\n\r\n",
    "chunks with extensions": OK
    + b'Transfer-Encoding: chunked\r\n\r\n7;a="b;c"\r\npicture\r\n0;x\r\n\r\n',
    "chunks with spaces": OK + b"Transfer-Encoding: chunked\r\n\r\n 0007 \r\npicture\r\n0 \r\n\r\n",
    "chunks with zeros": OK
    + b"Transfer-Encoding: chunked\r\n\r\n0000000000000007\r\npicture\r\n0000000000000000\r\n\r\n",
    "chunks with LF alone": OK + b"Transfer-Encoding: chunked\n\n7\npicture\n0\n\n",
    "chunks with trailers": OK
    + b"Transfer-Encoding: chunked\r\n\r\n7\r\npicture\r\n0\r\nX: y\r\nnonsense\r\n\r\n",
}


@pytest.mark.parametrize("answer", BODIES.values(), ids=BODIES)
def test_a_body_ends_where_browsers_see_its_end(
    serve: Serve, fetcher: Fetcher, answer: bytes
) -> None:
    server = serve(sends(answer))
    for _ in range(3):
        assert fetcher.fetch(server.url()).data == b"picture"


UNTIL_CLOSE = [b"", b"Content-Length: -1\r\n", b"Content-Length: x\r\n", b"Content-Length:\r\n"]


@pytest.mark.parametrize("line", UNTIL_CLOSE)
def test_a_body_without_a_length_ends_with_its_connection(
    serve: Serve, fetcher: Fetcher, line: bytes
) -> None:
    server = serve(sends(OK + line + END, then_close=True))
    assert fetcher.fetch(server.url()).data == b"picture"


INTERIM = {
    "103": head("Link: </s.css>; rel=preload", status="103 Early Hints"),
    "102": head(status="102 Processing"),
    "100": head(status="100 Continue"),
    "several": head(status="100 Continue") + 5 * head("Link: </s>", status="103 Early Hints"),
    "unknown": head(status="199 x"),
    "with a length": head("Content-Length: 0", status="103 Early Hints"),
    "with another length": head("Content-Length: 7", status="103 Early Hints"),
    "with chunks": head("Transfer-Encoding: chunked", status="103 Early Hints"),
    "that closes": head("Connection: close", status="103 Early Hints"),
    "with odd lines": head("nonsense", "X : y", status="103 Early Hints"),
    "with a redirect": head("Location: /elsewhere", status="103 Early Hints"),
    "with LF alone": b"HTTP/1.1 103 Early Hints\nLink: </s>\n\n",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("pause", [0, 0.1])
def test_interim_answers_are_read_over(
    serve: Serve, fetcher: Fetcher, interim: bytes, pause: float
) -> None:
    def script(connection: socket.socket, _path: str, _head: str) -> None:
        connection.sendall(interim)
        time.sleep(pause)
        connection.sendall(PICTURE)

    server = serve(script)
    for _ in range(3):
        assert fetcher.fetch(server.url()).data == b"picture"


UNREADABLE = {
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "a picture alone": b"\xff\xd8\xff\xe0\0\x10JFIF\n" * 9,
    "a status of two digits": b"HTTP/1.1 20 OK\r\n" + LENGTH + END,
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n" + LENGTH + END,
    "a status below 100": b"HTTP/1.1 099 OK\r\n" + LENGTH + END,
    "another protocol": head("Upgrade: websocket", status="101 Switching Protocols") + PICTURE,
    "two lengths": OK + LENGTH + b"Content-Length: 3\r\n" + END,
    "two lengths in a list": OK + b"Content-Length: 7, 3\r\n" + END,
    "cut off in its head": OK + b"Content-Le",
    "cut off before its body": OK + LENGTH + b"\r\n",
    "cut off in its body": OK + LENGTH + b"\r\npic",
    "cut off in a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\npic",
    "a chunk without a size": OK + b"Transfer-Encoding: chunked\r\n\r\n\r\npicture",
    "a chunk of another size": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\npicture\r\n",
    "501 lines": OK + b"X: y\r\n" * 501 + LENGTH + END,
    "300 kB of lines": OK + (b"X: " + b"y" * 30_000 + b"\r\n") * 10 + LENGTH + END,
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_nobody_can_read_is_a_passing_fault_of_one_picture(
    serve: Serve, fetcher: Fetcher, answer: bytes
) -> None:
    """More of them than make a server count as dead: its good picture is asked for all the same."""
    script: Script = sends(answer, then_close=True)
    good = sends(PICTURE)
    server = serve(lambda c, path, sent: (good if path == "/good" else script)(c, path, sent))
    for _ in range(FAILURES_IN_A_ROW + 1):
        with pytest.raises(ItemTransient) as raised:
            fetcher.fetch(server.url())
        assert raised.value.code == ItemCode.IMAGE_UNREACHABLE
    assert fetcher.fetch(server.url("/good")).data == b"picture"


def test_cookies_are_kept_within_one_fetch_and_no_longer(serve: Serve, fetcher: Fetcher) -> None:
    def script(connection: socket.socket, path: str, sent: str) -> None:
        if "cookie: a=1; b=2" in sent.lower():
            connection.sendall(PICTURE)
        elif path.endswith("2"):
            connection.sendall(
                reply(b"", "Location: /1", "Set-Cookie: b=2; Path=/; HttpOnly", status="302 Found")
            )
        else:
            connection.sendall(
                reply(b"", "Location: /2", "Set-Cookie: a=1; Path=/", status="302 Found")
            )

    server = serve(script)
    for _ in range(2):
        assert fetcher.fetch(server.url("/1")).data == b"picture"
    firsts = [sent for sent in server.requests if "Cookie" not in sent]
    assert len(server.requests) == 6
    assert len(firsts) == 2


def redirecting_with(*lines: str) -> Callable[[socket.socket, str, str], None]:
    """Redirects /a with these header lines; elsewhere is the picture."""

    def script(connection: socket.socket, path: str, _sent: str) -> None:
        if path == "/a":
            connection.sendall(reply(b"", "Location: /b", *lines, status="302 Found"))
        else:
            connection.sendall(PICTURE)

    return script


@pytest.mark.parametrize(
    "cookie",
    [
        "a=1; Domain=shop.example",
        "a=1; Secure",
        "a=1; Path=/elsewhere",
        "a=1; Max-Age=0",
        "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "a=" + "x" * 5_000,
        "a=\x01",
        "a=\xff",
        "=",
        "",
    ],
)
def test_a_cookie_goes_only_where_its_server_may_send_it(
    serve: Serve, fetcher: Fetcher, cookie: str
) -> None:
    server = serve(redirecting_with(f"Set-Cookie: {cookie}"))
    assert fetcher.fetch(server.url("/a")).data == b"picture"
    assert "Cookie" not in server.requests[1]


@pytest.mark.parametrize(
    "attributes",
    [
        "Domain=", "Domain", "Max-Age=", 'Max-Age="60"', "Max-Age=1h", "Path", 'Path="/"', "Path=x",
        "Expires=", "Expires=tomorrow", 'Port="80"', "Version=2", "SameSite=None; Partitioned",
        ";;", "Max-Age=60; Path=/; HttpOnly",
    ],
)  # fmt: skip
def test_an_attribute_that_means_nothing_costs_no_cookie(
    serve: Serve, fetcher: Fetcher, attributes: str
) -> None:
    server = serve(redirecting_with(f"Set-Cookie: a=1; {attributes}"))
    assert fetcher.fetch(server.url("/a")).data == b"picture"
    assert "Cookie: a=1\r\n" in server.requests[1]


def test_no_other_host_gets_a_cookie(fetcher: Fetcher, serve: Serve) -> None:
    other = ScriptedServer(sends(PICTURE), address="127.0.0.2")
    location, cookie = f"Location: {other.url()}", "Set-Cookie: a=1; Path=/"
    server = serve(sends(reply(b"", location, cookie, status="302 Found")))
    assert fetcher.fetch(server.url()).data == b"picture"
    assert "Cookie" not in other.requests[0]
    other.close()


def test_cookies_without_end_take_no_time(serve: Serve, fetcher: Fetcher) -> None:
    worst = [f"Set-Cookie: a={filler * 4_000}" for filler in (" ", ";", '"', "=", "1-", "a=1;")]
    worst += ["Set-Cookie: a=1; Expires=" + "1" * 20 + " " * 4_000 + "x"] * 300

    started = time.thread_time()
    with pytest.raises(ItemTransient):  # more than a head may have
        fetcher.fetch(serve(redirecting_with(*worst)).url("/a"))
    assert fetcher.fetch(serve(redirecting_with(*worst[:50])).url("/a")).data == b"picture"
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    ("referer", "sent"),
    [
        ("", None),
        ("https://shop.example/list?a=1", "https://shop.example/list?a=1"),
        ("origin", "http://127.0.0.1:{port}/"),
    ],
)
def test_a_server_is_told_the_agent_and_the_page_that_are_set(
    serve: Serve, referer: str, sent: str | None
) -> None:
    server = serve(sends(PICTURE))
    fetcher = Fetcher(
        LOOPBACK, max_bytes=100, timeout_seconds=5, user_agent="Shop/2 (x)", referer=referer
    )
    fetcher.fetch(server.url("/a.jpg"))
    fetcher.close()
    lines = server.requests[0].split("\r\n")
    assert "User-Agent: Shop/2 (x)" in lines
    referers = [line for line in lines if line.startswith("Referer")]
    assert referers == ([f"Referer: {sent.format(port=server.port)}"] if sent else [])


def test_a_url_is_sent_as_the_shop_wrote_it(serve: Serve, fetcher: Fetcher) -> None:
    server = serve(sends(PICTURE))
    for path in ("/signed/a%2fb.jpg?s=%3d%2B+/", "/red%20shirt-100%.jpg", "/a[1]|b.jpg?x=[2]"):
        fetcher.fetch(server.url(path))
        assert server.requests[-1].startswith(f"GET {path} HTTP/1.1\r\n")
    fetcher.fetch(f"  {server.url('/red shirt é.jpg')}\r\n")
    assert server.requests[-1].startswith("GET /red%20shirt%20%C3%A9.jpg HTTP/1.1\r\n")
