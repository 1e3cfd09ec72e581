"""Over kept connections each product gets its own picture or a failure, never another's."""

import contextlib
import gc
import itertools
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch import connections
from shared.fetch.fetcher import Fetcher
from shared.fetch.hosts import FAILURES_IN_A_ROW
from shared.fetch.picture import Validators
from tests.integration.fetch.picture_server import (
    LOOPBACK,
    ScriptedServer,
    StubResolver,
    head,
    reply,
    sends,
)

Serve = Callable[..., ScriptedServer]
Answers = Callable[[bytes], list[bytes]]

WRONG = reply(b"another product's picture")


def chunked(body: bytes, *lines: str) -> bytes:
    wrapped = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head("Transfer-Encoding: chunked", *lines) + wrapped


def interim(status: str, *lines: str) -> bytes:
    return head(*lines, status=status)


# What is sent for one request, in parts; 0.05 s lie between two of them.
FORMS: dict[str, Answers] = {
    "plain": lambda own: [reply(own)],
    "chunks": lambda own: [chunked(own)],
    "103": lambda own: [interim("103 x", "Link: </s>"), reply(own)],
    "103 with a length of 0": lambda own: [interim("103 x", "Content-Length: 0"), reply(own)],
    "103 with its length": lambda own: [
        interim("103 x", f"Content-Length: {len(own)}"),
        reply(own),
    ],
    "103 with another's length": lambda own: [interim("103 x", "Content-Length: 5"), reply(own)],
    "103 with chunks": lambda own: [interim("103 x", "Transfer-Encoding: chunked"), reply(own)],
    "103 with a body": lambda own: [interim("103 x", "Content-Length: 5") + b"hello", reply(own)],
    "103 that holds an answer": lambda own: [
        interim("103 x", f"Content-Length: {len(WRONG)}") + reply(own),
        WRONG,
    ],
    "102 twice": lambda own: [interim("102 x"), interim("102 x", "Content-Length: 0"), reply(own)],
    "100": lambda own: [interim("100 Continue"), reply(own)],
    "100 after the answer": lambda own: [reply(own), interim("100 Continue")],
    "199": lambda own: [interim("199 x"), reply(own)],
    "101": lambda own: [interim("101 Switching Protocols"), reply(own)],
    "nothing, then the answer": lambda own: [reply(b""), reply(own)],
    "no chunks, then the answer": lambda own: [chunked(b""), reply(own)],
    "204, then the answer": lambda own: [head(status="204 No Content"), reply(own)],
    "204 with a length": lambda own: [head("Content-Length: 5", status="204 x"), reply(own)],
    "204 with a body": lambda own: [reply(WRONG, status="204 No Content"), reply(own)],
    "205, then the answer": lambda own: [reply(b"", status="205 Reset Content"), reply(own)],
    "202, then the answer": lambda own: [reply(b"", status="202 Accepted"), reply(own)],
    "404, then the answer": lambda own: [reply(b"", status="404 x"), reply(own)],
    "503, then the answer": lambda own: [reply(b"", status="503 x"), reply(own)],
    "304 that nobody asked for": lambda own: [head(status="304 Not Modified"), reply(own)],
    "304 with a body": lambda own: [reply(WRONG, status="304 Not Modified"), reply(own)],
    "two in one packet": lambda own: [reply(own) + WRONG],
    "two in one packet, in chunks": lambda own: [chunked(own) + WRONG],
    "surplus bytes": lambda own: [reply(own) + b"\r\n"],
    "surplus bytes in parts": lambda own: [reply(own)[:-1], own[-1:] + WRONG],
    "a shorter length": lambda own: [
        head(f"Content-Length: {len(own)}") + own + b"\r\n\r\n" + WRONG
    ],
    "two lengths": lambda own: [head(f"Content-Length: {len(own)}", "Content-Length: 3") + own],
    "the length twice": lambda own: [head(*2 * [f"Content-Length: {len(own)}"]) + own + WRONG],
    "length and chunks": lambda own: [chunked(own, "Content-Length: 3")],
    "length in another spelling": lambda own: [head(f"Content-Length : +{len(own)}") + own + WRONG],
    "a folded length": lambda own: [head("Content-Length:", f" {len(own)}") + own],
    "a folded coding": lambda own: [chunked(own, "X: y", " Transfer-Encoding: identity")],
    "HTTP/1.0 kept alive": lambda own: [
        reply(own, "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    ],
    "HTTP/1.0 with chunks": lambda own: [chunked(own).replace(b"HTTP/1.1", b"HTTP/1.0")],
    "says close and does not": lambda own: [reply(own, "Connection: Close") + WRONG],
    "trailers": lambda own: [chunked(own)[:-2] + b"X: y\r\n\r\n" + WRONG],
    "a chunk more": lambda own: [chunked(own) + b"5\r\nhello\r\n0\r\n\r\n"],
    "a head without its end": lambda own: [b"HTTP/1.1 200 OK\r\nX: y", b"\r\n\r\n" + own],
}


def script(answers: Answers) -> Callable[[socket.socket, str, str], None]:
    def answer(connection: socket.socket, path: str, _head: str) -> None:
        for part in answers(b"picture of " + path.encode()):
            connection.sendall(part)
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_product_gets_anothers_picture(serve: Serve, form: Answers, threads: int) -> None:
    server = serve(script(form))
    fetcher = Fetcher(
        LOOPBACK, max_bytes=1_000, timeout_seconds=1, connections=4, pause_seconds=0.01
    )

    def fetched(number: int) -> bytes | None:
        with contextlib.suppress(ItemTransient, ItemPermanent):
            return fetcher.fetch(server.url(f"/{number}")).data
        return None

    with ThreadPoolExecutor(threads) as pool:
        for number, data in enumerate(pool.map(fetched, range(6))):
            assert data in (b"picture of /%d" % number, None)
    fetcher.close()


GOOD = ["plain", "chunks", "103", "103 with a length of 0", "102 twice", "100", "length and chunks"]


@pytest.mark.parametrize("form", GOOD)
def test_each_gets_its_picture_where_browsers_show_it(
    serve: Serve, fetcher: Fetcher, form: str
) -> None:
    server = serve(script(FORMS[form]))
    for number in range(4):
        assert fetcher.fetch(server.url(f"/{number}")).data == b"picture of /%d" % number


@pytest.mark.parametrize(
    "answer",
    [
        chunked(b"picture"),
        interim("103 Early Hints", "Link: </s>") + reply(b"picture"),
        interim("100 Continue") + reply(b"picture", "Keep-Alive: timeout=5"),
        reply(b"picture", "Connection: keep-alive"),
    ],
)
def test_what_leaves_no_doubt_keeps_its_connection(
    serve: Serve, fetcher: Fetcher, answer: bytes
) -> None:
    server = serve(sends(answer))
    for _ in range(3):
        assert fetcher.fetch(server.url()).data == b"picture"
    assert server.connections == 1


SURPLUS = {
    "the body that a 304 announces": b"\xff\xd8\n" * 12 + b"\xff\xd9",
    "a whole answer": WRONG,
    "a whole answer in chunks": chunked(b"another product's picture"),
    "a redirect": reply(b"", "Location: /wrong", status="302 Found"),
    "a refusal": reply(b"gone", status="404 Not Found"),
}


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
@pytest.mark.parametrize("conditional", [True, False])
def test_what_follows_a_304_late_reaches_no_other_product(
    serve: Serve, fetcher: Fetcher, surplus: bytes, conditional: bool
) -> None:
    """The surplus comes with the next request, when it can't be seen before that is sent."""
    answered: set[int] = set()

    def late(connection: socket.socket, path: str, _sent: str) -> None:
        if path == "/same":
            connection.sendall(head(status="304 Not Modified"))
            answered.add(id(connection))
        elif id(connection) in answered:
            answered.remove(id(connection))
            connection.sendall(surplus)
            time.sleep(0.1)
            connection.sendall(reply(b"picture of " + path.encode()))
        else:
            connection.sendall(reply(b"picture of " + path.encode()))

    server = serve(late)
    known = Validators('"7"', None)
    for number in range(3):
        assert fetcher.fetch_if_changed(server.url("/same"), known) is None
        url = server.url(f"/{number}")
        found = fetcher.fetch_if_changed(url, known) if conditional else fetcher.fetch(url)
        assert found is not None
        assert found.data == b"picture of /%d" % number


def once_per_connection() -> Callable[[socket.socket, str, str], None]:
    """Answers a connection's first request and swallows the others, as a NAT that forgot it."""
    seen: set[int] = set()

    def answer(connection: socket.socket, path: str, _head: str) -> None:
        if id(connection) in seen:
            connection.recv(1)  # until the client gives up
        else:
            seen.add(id(connection))
            connection.sendall(reply(path.encode()))

    return answer


def test_a_dead_kept_connection_costs_a_quarter_of_the_time_and_no_attempt(serve: Serve) -> None:
    server = serve(once_per_connection())
    fetcher = Fetcher(LOOPBACK, max_bytes=1_000, timeout_seconds=4)
    started = time.monotonic()
    for number in range(FAILURES_IN_A_ROW):
        assert fetcher.fetch(server.url(f"/{number}")).data == b"/%d" % number
    took = time.monotonic() - started
    fetcher.close()
    assert 3 < took < 12, "the whole time each"


def test_a_slow_picture_may_take_its_time_on_a_kept_connection(serve: Serve) -> None:
    def slow(connection: socket.socket, _path: str, _head: str) -> None:
        answer = reply(b"picture")
        connection.sendall(answer[:-7])
        time.sleep(1.2)
        connection.sendall(answer[-7:])

    server = serve(slow)
    fetcher = Fetcher(LOOPBACK, max_bytes=1_000, timeout_seconds=4)
    for _ in range(2):
        assert fetcher.fetch(server.url()).data == b"picture"
    fetcher.close()
    assert server.connections == 1


def test_what_breaks_on_a_kept_connection_is_asked_for_anew(serve: Serve, fetcher: Fetcher) -> None:
    for broken in (b"", b"HTTP/1.1 2", reply(b"picture")[:-3], b"garbage\r\n\r\n"):
        turns = itertools.count()

        def script(
            connection: socket.socket,
            _path: str,
            _head: str,
            broken: bytes = broken,
            turns: "itertools.count[int]" = turns,
        ) -> None:
            if next(turns) == 1:
                connection.sendall(broken)
                connection.shutdown(socket.SHUT_RDWR)
            else:
                connection.sendall(reply(b"picture"))

        server = serve(script)
        for _ in range(3):
            assert fetcher.fetch(server.url()).data == b"picture"
        assert server.connections == 2
        assert len(server.requests) == 4


def test_the_new_connection_decides_what_is_wrong(serve: Serve, fetcher: Fetcher) -> None:
    turns = itertools.count()

    def script(connection: socket.socket, _path: str, _head: str) -> None:
        if next(turns):
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(reply(b"picture"))

    server = serve(script)
    fetcher.fetch(server.url())
    with pytest.raises(ItemTransient) as raised:
        fetcher.fetch(server.url())
    assert raised.value.code == ItemCode.IMAGE_UNREACHABLE
    assert len(server.requests) == 3


def test_an_idle_connection_is_not_used_after_its_time(
    serve: Serve, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(sends(reply(b"picture")))
    fetcher.fetch(server.url())
    fetcher.fetch(server.url())
    assert server.connections == 1
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.1)
    time.sleep(0.2)
    fetcher.fetch(server.url())
    assert server.connections == 2


def test_connections_are_bounded_in_number(serve: Serve) -> None:
    server = serve(sends(reply(b"picture")))
    hosts = [f"{number}.example" for number in range(9)]
    resolver = StubResolver(**{host.replace(".", "_"): [["127.0.0.1"]] for host in hosts})
    fetcher = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=5, connections=2, resolver=resolver)
    for host in hosts:
        fetcher.fetch(f"http://{host}:{server.port}/")
    assert len(fetcher._connections._idle) == 4
    fetcher.close()


def test_a_kept_connection_to_another_address_is_not_used() -> None:
    servers = [ScriptedServer(sends(reply(b"first")))]
    with socket.create_server(("127.0.0.2", servers[0].port)) as second:
        resolver = StubResolver(shop_example=[["127.0.0.1"], ["127.0.0.2"]])
        fetcher = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=0.5, resolver=resolver)
        url = f"http://shop.example:{servers[0].port}/"
        assert fetcher.fetch(url).data == b"first"
        with pytest.raises(ItemTransient):
            fetcher.fetch(url)
        second.settimeout(1)
        second.accept()[0].close()
    fetcher.close()
    servers[0].close()


def test_a_fetcher_that_is_forgotten_leaves_nothing_open(serve: Serve) -> None:
    server = serve(sends(reply(b"picture")))
    forgotten = [Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=5)]
    forgotten[0].fetch(server.url())
    cycle: list[object] = [forgotten]
    forgotten.append(cycle)  # type: ignore[arg-type]
    del cycle, forgotten
    gc.collect()  # a socket that is not closed would be a warning, hence a failure
