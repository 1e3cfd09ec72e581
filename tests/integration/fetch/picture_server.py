"""A picture server on loopback whose answers each test writes byte by byte."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

from shared.fetch.addresses import Address

LOOPBACK = (ip_network("127.0.0.0/8"),)

Script = Callable[[socket.socket, str, str], None]
"""Answers one request: the connection, the request's path and all of its head."""


class ScriptedServer:
    """Serves every request by `script`, on one thread per connection, and keeps count."""

    def __init__(
        self, script: Script, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
    ) -> None:
        self.connections = 0
        self.requests: list[str] = []
        self._script = script
        self._tls = tls
        self._listener = socket.create_server((address, 0), backlog=64)
        self.address = address
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def url(self, path: str = "/a.jpg") -> str:
        return f"http://{self.address}:{self.port}{path}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(timeout=60)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if self._tls is not None:
                connection = stack.enter_context(
                    self._tls.wrap_socket(connection, server_side=True)
                )
            while head := _read_head(connection):
                self.requests.append(head)
                self._script(connection, head.split(" ")[1], head)


def _read_head(connection: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = connection.recv(4096)
        if not part:
            return ""
        head += part
    return head.decode("latin-1")


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with a true Content-Length."""
    return head(f"Content-Length: {len(body)}", *headers, status=status) + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    """An answer's head, with nothing in it but what is given."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def sends(answer: bytes, then_close: bool = False) -> Script:
    """A script that gives every request the same answer."""

    def script(connection: socket.socket, _path: str, _head: str) -> None:
        connection.sendall(answer)
        if then_close:
            connection.shutdown(socket.SHUT_RDWR)

    return script


class StubResolver:
    """Answers from a table: one list of addresses per question, the last one for ever."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name.replace("_", "."): list(rows) for name, rows in answers.items()}
        self.questions: list[str] = []

    def resolve(self, host: str) -> Sequence[Address]:
        self.questions.append(host)
        rows = self._answers.get(host)
        if rows is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        row = rows.pop(0) if len(rows) > 1 else rows[0]
        return [ip_address(text) for text in row]
