"""HTTP connections to one checked address, bounded by one deadline and a number of bytes.

`requests` and urllib3 would resolve the host's name again when they connect, and their timeouts
bound each read rather than the whole answer. Both are put right here: the pool is opened for the
IP address itself (`Host` header, SNI and certificate still go by the name), and its sockets
shorten their timeout before each read so that none outlasts the deadline.

The sockets also count what they receive. Whoever reads the body counts that, but not what it is
wrapped in, and urllib3 takes a chunk of the size -1 for one without end, which it reads at once: a
gigabyte in two seconds.
"""

import math
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse
from urllib3.util import Timeout

from shared.fetch.addresses import Address
from shared.fetch.urls import PictureUrl

# A socket with a timeout of 0 does not block at all, which would read as another error.
_LEAST_TIMEOUT = 0.001


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

    most_bytes = math.inf
    """For the whole answer, too."""

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
            self.sock.bytes_left = self.most_bytes
        return super().getresponse()


class _DeadlineTLSConnection(_DeadlineConnection, HTTPSConnection):
    pass


class _DeadlinePool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection
    most_bytes = math.inf

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)
        connection.most_bytes = self.most_bytes  # type: ignore[attr-defined]
        return connection


class _DeadlineTLSPool(_DeadlinePool, HTTPSConnectionPool):
    ConnectionCls = _DeadlineTLSConnection


class PinnedRequest(requests.PreparedRequest):
    """A GET of `url` to be sent to `address`, and nowhere else."""

    def __init__(self, url: PictureUrl, address: Address, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.picture_url = url
        self.pinned_address = address
        self.prepare_method("GET")
        self.prepare_url(str(url), None)
        # Without `Host` urllib3 would name the IP address that it connects to.
        self.prepare_headers({**headers, "Host": url.authority})


class PinnedAdapter(HTTPAdapter):
    """Sends `PinnedRequest`s over pooled connections; safe to share between threads.

    It is used without a `requests.Session`, which would add what must not be here: proxies and
    credentials from the environment, cookies kept from one shop to the next, redirects followed
    unchecked.
    """

    def __init__(self, connections: int, ca_file: str, most_bytes: float = math.inf) -> None:
        """Keep up to `connections` open per host and verify servers against `ca_file` (PEM).

        An answer may have `most_bytes`, with all that it is wrapped in.
        """
        self._most_bytes = most_bytes
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._tls.sslsocket_class = _DeadlineTLSSocket
        # As many hosts as threads can be in work at once, with room for the redirects' hosts.
        super().__init__(pool_connections=2 * connections, pool_maxsize=connections)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Make a pool manager whose connections keep deadlines."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _DeadlinePool,
            "https": _DeadlineTLSPool,
        }

    def open(self, request: PinnedRequest, connect: float, total: float) -> requests.Response:
        """Send `request` and read the answer's headers; the body is left to be streamed.

        `connect` seconds at most for connection and handshake, `total` seconds for all including
        the body. Raises requests' exceptions; while the body is read, urllib3's.
        """
        timeout = Timeout(total=total, connect=connect)
        # requests takes urllib3's Timeout as it is; its published types leave that out.
        return self.send(request, stream=True, timeout=timeout)  # type: ignore[arg-type]

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: Any, **__: Any
    ) -> HTTPConnectionPool:
        """The pool of connections to the pinned address, verified by the URL's host name.

        Hosts that share an address do not share connections, so that a server which sends more
        than it announced can't put the rest before another host's answer.
        """
        if not isinstance(request, PinnedRequest):
            raise TypeError("PinnedAdapter sends PinnedRequests only")
        url = request.picture_url
        pool = self.poolmanager.connection_from_host(
            host=str(request.pinned_address),
            port=url.port,
            scheme=url.scheme,
            pool_kwargs={"server_hostname": url.host},
        )
        assert isinstance(pool, _DeadlinePool)  # noqa: S101 - `init_poolmanager` says so
        pool.most_bytes = self._most_bytes
        return pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Nothing to do: the TLS context holds the certificates, read once."""
