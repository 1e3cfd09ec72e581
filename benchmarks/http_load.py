"""Requests over kept connections from several threads, and the time that each took.

All of it shares the cores with the service, so it is written for little work: a plain socket, and
of HTTP only what our API answers (a length, never chunks). `http.client` takes three times as much.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

_PREFIX: Final = "/api/v1"
_TIMEOUT_SECONDS: Final = 120.0
_READ_BYTES: Final = 1 << 16
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection:
    """One connection to the API, kept open. Use it in one thread."""

    def __init__(self, api_url: str) -> None:
        parts = urlsplit(api_url)
        self._host = parts.netloc
        self._address = (parts.hostname, parts.port)
        self._socket = self._connected()

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The JSON answer. Raises RuntimeError for anything but a success."""
        return json.loads(self.raw(method, _PREFIX + path, body))

    def raw(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer's bytes; `path` is the whole one."""
        content = body or b""
        request = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode() + content
        try:
            self._socket.sendall(request)
            received = self._socket.recv(_READ_BYTES)
        except ConnectionError:
            received = b""
        if not received:  # the server closes what nobody asks anything for a while
            self._socket.close()
            self._socket = self._connected()
            self._socket.sendall(request)
        return self._answer(received, f"{method} {path}")

    def _answer(self, received: bytes, asked: str) -> bytes:
        while _END_OF_HEAD not in received:
            received += self._more(asked)
        head, _, content = received.partition(_END_OF_HEAD)
        length = _LENGTH.search(head)
        if length is None:
            raise RuntimeError(f"{asked}: an answer without a length")
        parts, missing = [content], int(length[1]) - len(content)
        while missing > 0:
            parts.append(self._more(asked))
            missing -= len(parts[-1])
        content = b"".join(parts)
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{asked}: {head[:40]!r} {content[:300]!r}")
        return content

    def _more(self, asked: str) -> bytes:
        received = self._socket.recv(_READ_BYTES)
        if not received:
            raise RuntimeError(f"{asked}: the connection was closed before the answer's end")
        return received

    def _connected(self) -> socket.socket:
        connected = socket.create_connection(self._address, _TIMEOUT_SECONDS)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def search(self, text: str, **asked: object) -> Any:
        """The answer to a search by words."""
        body = json.dumps({"text_query": text, "top_k": 10, **asked})
        return self.call("POST", "/search", body.encode())

    def close(self) -> None:
        """Closes it."""
        self._socket.close()


Request = Callable[[Connection, int], object]
"""Makes the request of a number."""


def closed_loop(
    api_url: str, clients: int, count: int, make: Request, first: int = 0
) -> list[float]:
    """Seconds of the requests number `first` to `first + count - 1`, made by `clients` threads.

    Each thread makes its next request once it has its answer. Raises the error of a request.
    """
    return _in_threads(api_url, clients, range(first, first + count), make, None)


def at_pace(
    api_url: str, per_second: float, seconds: float, make: Request, first: int = 0
) -> list[float]:
    """Seconds that requests took that one client makes at a pace, whether or not it keeps up.

    A request that had to wait for the one before counts from when it was due, so that a service
    that stands still isn't asked less and measured better for it.
    """
    count = max(2, int(per_second * seconds))
    return _in_threads(api_url, 1, range(first, first + count), make, 1 / per_second)


def _in_threads(
    api_url: str, clients: int, numbers: Sequence[int], make: Request, interval: float | None
) -> list[float]:
    took: list[float] = []
    failed: list[BaseException] = []
    began = time.perf_counter()

    def run(client: int) -> None:
        connection = Connection(api_url)
        try:
            for number in numbers[client::clients]:
                if failed:
                    return
                due = time.perf_counter()
                if interval is not None:
                    due = began + (number - numbers[0]) * interval
                    time.sleep(max(0.0, due - time.perf_counter()))
                make(connection, number)
                took.append(time.perf_counter() - due)
        except BaseException as err:
            failed.append(err)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return took
