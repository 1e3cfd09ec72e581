"""HTTP connections to one checked address, bounded by one deadline and a number of bytes.

urllib3 would resolve the host's name again when it connects, and its timeouts bound each read
rather than the whole answer. Both are put right here: the pool is opened for the IP address itself
(`Host` header, SNI and certificate still go by the name), and its sockets shorten their timeout
before each read so that none outlasts the deadline.

The sockets also count what they receive. Whoever reads the body counts that, but not what it is
wrapped in, and urllib3 takes a chunk of the size -1 for one without end, which it reads at once: a
gigabyte in two seconds.
"""

import math
import socket
import ssl
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

from shared.fetch.addresses import Address
from shared.fetch.urls import PictureUrl

# A socket with a timeout of 0 does not block at all, which would read as another error.
_LEAST_TIMEOUT: Final = 0.001

# Faults come as they are, and redirects as answers: both are for `Fetcher` to judge.
_NO_RETRIES: Final = Retry(False)


class AnswerTooLong(OSError):
    """More bytes came than any answer that we take may have."""


def _bound_read(sock: socket.socket, deadline: float) -> None:
    """Let the next read of `sock` end at `deadline` (monotonic seconds)."""
    if deadline == math.inf:
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer took too long as a whole")
    sock.settimeout(left)


def _counted(sock: "_DeadlineSocket | _DeadlineTLSSocket", received: int) -> int:
    """The bytes just received; AnswerTooLong where no answer may have as many in all."""
    sock.bytes_left -= received
    if sock.bytes_left < 0:
        raise AnswerTooLong("the answer is too long as a whole")
    return received


class _DeadlineSocket(socket.socket):
    deadline = math.inf
    bytes_left = math.inf

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _bound_read(self, self.deadline)
        return _counted(self, super().recv_into(*args, **kwargs))


class _DeadlineTLSSocket(ssl.SSLSocket):
    deadline = math.inf
    bytes_left = math.inf

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _bound_read(self, self.deadline)
        return _counted(self, super().recv_into(*args, **kwargs))


class _DeadlineConnection(HTTPConnection):
    """Treats urllib3's read timeout as the time left for the whole answer, headers and body."""

    def __init__(self, *args: Any, most_bytes: float = math.inf, **kwargs: Any) -> None:
        """`most_bytes` for the whole answer, too."""
        super().__init__(*args, **kwargs)
        self._most_bytes = most_bytes

    def _new_conn(self) -> socket.socket:
        started = time.monotonic()
        plain = super()._new_conn()
        sock = _DeadlineSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        if self.timeout is not None:
            # What is left is for the TLS handshake, which Python bounds as a whole.
            left = self.timeout - (time.monotonic() - started)
            sock.settimeout(max(left, _LEAST_TIMEOUT))
        return sock

    # urllib3 itself answers with its own class where http.client's is expected.
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        if self.timeout is not None and isinstance(self.sock, _DeadlineSocket | _DeadlineTLSSocket):
            self.sock.deadline = time.monotonic() + self.timeout
            self.sock.bytes_left = self._most_bytes
        return super().getresponse()


class _DeadlineTLSConnection(_DeadlineConnection, HTTPSConnection):
    pass


class _DeadlinePool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _DeadlineTLSPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineTLSConnection


class PinnedTransport:
    """Sends GETs to the addresses that it is told, over kept connections; threads may share it.

    There is no session around it, which would add what must not be here: proxies and credentials
    from the environment, cookies kept from one shop to the next, redirects followed unchecked.
    """

    def __init__(self, connections: int, ca_file: str, most_bytes: float = math.inf) -> None:
        """Keep up to `connections` open per host and verify servers against `ca_file` (PEM).

        An answer may have `most_bytes`, with all that it is wrapped in.
        """
        self._connections = connections
        self._most_bytes = most_bytes
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._tls.sslsocket_class = _DeadlineTLSSocket
        # As many hosts as threads can be in work at once, with room for the redirects' hosts. One
        # that is forgotten closes its idle connections.
        self._pool = lru_cache(maxsize=2 * connections)(self._new_pool)

    def open(
        self,
        url: PictureUrl,
        address: Address,
        headers: Mapping[str, str],
        *,
        connect: float,
        total: float,
    ) -> BaseHTTPResponse:
        """Ask `address` for `url` and read the answer's headers; the body is left to be streamed.

        `connect` seconds at most for connection and handshake, `total` seconds for all including
        the body. Raises urllib3's exceptions, also while the body is read. Close the answer: its
        connection is kept where the body was read to its end.
        """
        return self._pool(url.scheme, address, url.port, url.host).urlopen(
            "GET",
            url.path,
            # Without `Host` urllib3 would name the IP address that it connects to.
            headers={**headers, "Host": url.authority},
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(total=total, connect=connect),
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        """Forget all hosts."""
        self._pool.cache_clear()

    def _new_pool(self, scheme: str, address: Address, port: int, host: str) -> HTTPConnectionPool:
        """Connections to the address, verified by the URL's host name.

        Hosts that share an address do not share connections, so that a server which sends more
        than it announced can't put the rest before another host's answer.
        """
        kept: dict[str, Any] = {"maxsize": self._connections, "most_bytes": self._most_bytes}
        if scheme == "http":
            return _DeadlinePool(str(address), port, **kept)
        return _DeadlineTLSPool(
            str(address), port, **kept, ssl_context=self._tls, server_hostname=host
        )
