"""Connections to checked addresses, bounded by one deadline and a number of bytes."""

import math
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Collection, Sequence
from functools import cache
from typing import Final

from shared.errors import ItemTransient
from shared.fetch.addresses import Address
from shared.fetch.faults import (
    AnswerTooLong,
    bad_answer,
    bad_certificate,
    seconds_left,
    timed_out,
    unreachable,
)
from shared.fetch.urls import PictureUrl

Origin = tuple[str, str, int]
"""Scheme, host name and port. Hosts that share an address do not share connections, so that a
server which sends more than it announced can't put the rest before another host's answer."""

IDLE_SECONDS: Final = 60.0
"""Routers on the way forget a connection that is idle for longer, and tell nobody."""

_RECEIVED_AT_ONCE: Final = 64 * 1024
_MAX_CONNECT_ATTEMPTS: Final = 3
"""A name with more addresses than this has one that answers among the first, or none."""
_PATIENCE: Final = 4
"""The begin of an answer on a kept connection may take a quarter of the time, and a new connection
gets the rest: a kept one may be dead without a sign of it."""


class Connection:
    """A connection to one checked address; it serves one answer at a time.

    All that is read raises the faults of `shared/fetch/faults.py`.
    """

    def __init__(self, sock: socket.socket, origin: Origin, address: Address) -> None:
        """`sock` stands, and TLS with it."""
        self.origin = origin
        self.address = address
        self._sock = sock
        # Also if the fetcher is forgotten rather than closed.
        self._close = weakref.finalize(self, sock.close)
        self._buffer = bytearray()
        self._scanned = 0
        self._kept = False
        self._idle_since = 0.0
        self.after_unchanged = False
        """Whether its last answer was that nothing has changed, which some servers let the picture
        follow all the same."""

    def send(self, request: bytes, deadline: float, most_bytes: int) -> None:
        """Asks. The whole answer ends by `deadline` (monotonic seconds) and `most_bytes`.

        Raises item faults if the request can't be sent.
        """
        self._deadline, self._bytes_left, self._answered = deadline, most_bytes, False
        self._begin_by = math.inf
        if self._kept:
            self._begin_by = time.monotonic() + seconds_left(deadline) / _PATIENCE
        self._sock.settimeout(seconds_left(min(deadline, self._begin_by)))
        try:
            self._sock.sendall(request)
        except TimeoutError as err:
            raise timed_out() from err
        except OSError as err:
            raise self._broken() from err

    def line(self, most: int) -> bytes:
        """The next line without its end, which is LF or CR LF; at most `most` bytes long.

        Raises item faults, and `AnswerTooLong`.
        """
        while (end := self._buffer.find(b"\n", self._scanned)) < 0:
            self._scanned = len(self._buffer)
            if self._scanned > most:
                break
            self._buffer += self._received(_RECEIVED_AT_ONCE) or self._end()
        if not 0 <= end <= most:
            raise bad_answer("The picture server's answer holds a line without end.")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line.removesuffix(b"\r")

    def some(self, most: int) -> bytes:
        """At least one byte of the body, up to `most`; none if the server has closed.

        Raises as `line`.
        """
        if not self._buffer:
            return self._received(min(most, _RECEIVED_AT_ONCE))
        data = bytes(self._buffer[: min(most, _RECEIVED_AT_ONCE)])
        del self._buffer[: len(data)]
        return data

    def exactly(self, size: int) -> bytes:
        """As `some`, but it is a fault if the server has closed."""
        return self.some(size) or self._end()

    def keep(self, unchanged: bool) -> None:
        """The answer has been read; the connection waits for the next picture.

        `unchanged`: the answer was that nothing has changed.
        """
        self._kept = True
        self.after_unchanged = unchanged
        self._idle_since = time.monotonic()

    @property
    def is_usable(self) -> bool:
        """Whether it may serve another picture: the server has not closed it, is not due to have
        forgotten it, and has sent nothing that nobody asked for.
        """
        if self._buffer or self.is_stale:
            return False
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    @property
    def is_stale(self) -> bool:
        """Whether it has been idle for too long."""
        return time.monotonic() - self._idle_since > IDLE_SECONDS

    def close(self) -> None:
        """Closes it."""
        self._close()

    def _received(self, most: int) -> bytes:
        self._sock.settimeout(seconds_left(min(self._deadline, self._begin_by)))
        try:
            data = self._sock.recv(most)
        except TimeoutError as err:
            raise timed_out() from err
        except OSError as err:
            raise self._broken() from err
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise AnswerTooLong
        if data:
            self._answered, self._begin_by = True, math.inf
        return data

    def _end(self) -> bytes:
        raise self._broken()

    def _broken(self) -> Exception:
        if self._answered:
            return bad_answer("The picture server broke off its answer.")
        return unreachable("The picture server closed the connection without an answer.")


@cache
def _tls(ca_file: str) -> ssl.SSLContext:
    """Made once for each file: reading all authorities takes 20 ms."""
    context = ssl.create_default_context(cafile=ca_file)
    # Python 3.13 asks more of certificates than browsers do.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connections:
    """Opens connections, and keeps those that may serve another picture; threads share it."""

    def __init__(self, most: int, ca_file: str) -> None:
        """Keeps up to `most`, of all hosts together; verifies servers against `ca_file` (PEM)."""
        self._most = most
        self._tls = _tls(ca_file)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def kept(
        self, url: PictureUrl, addresses: Collection[Address], conditional: bool
    ) -> Connection | None:
        """A connection to the URL's host that waits for work, at one of the `addresses`.

        A connection that last answered "not changed" serves conditional requests only.
        """
        while (connection := self._taken(_origin(url), conditional)) is not None:
            if connection.address in addresses and connection.is_usable:
                return connection
            connection.close()
        return None

    def open(self, url: PictureUrl, addresses: Sequence[Address], deadline: float) -> Connection:
        """A new connection to the first of the `addresses` that accepts.

        The first ones share the time until `deadline` (monotonic seconds), so that one that
        swallows packets leaves some for the next. Raises item faults.
        """
        tried = addresses[:_MAX_CONNECT_ATTEMPTS]
        fault = unreachable("The picture server's name has no address.")
        for position, address in enumerate(tried):
            end = time.monotonic() + seconds_left(deadline) / (len(tried) - position)
            try:
                sock = socket.create_connection((str(address), url.port), seconds_left(end))
                if url.scheme == "https":
                    sock.settimeout(seconds_left(end))
                    # Host name and certificate go by the URL's name, whatever the address.
                    sock = self._tls.wrap_socket(sock, server_hostname=url.host)
                return Connection(sock, _origin(url), address)
            except ssl.SSLCertVerificationError as err:
                raise bad_certificate(err) from err
            except (TimeoutError, ItemTransient):  # the share of this address is used up
                fault = timed_out()
            except ssl.SSLError:
                fault = unreachable("The picture server's TLS connection failed.")
            except OSError:
                fault = unreachable()
        raise fault

    def keep(self, connection: Connection, unchanged: bool) -> None:
        """Keeps a connection if its answer was read as it was sent; see `Connection.keep`."""
        connection.keep(unchanged)
        with self._lock:
            self._idle.append(connection)
            over = []
            while len(self._idle) > self._most or self._idle[0].is_stale:
                over.append(self._idle.pop(0))
        for old in over:
            old.close()

    def close(self) -> None:
        """Closes those that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _taken(self, origin: Origin, conditional: bool) -> Connection | None:
        with self._lock:
            for position in range(len(self._idle) - 1, -1, -1):
                connection = self._idle[position]
                if connection.origin == origin and (conditional or not connection.after_unchanged):
                    return self._idle.pop(position)
        return None


def _origin(url: PictureUrl) -> Origin:
    return url.scheme, url.host, url.port
