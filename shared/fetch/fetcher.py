"""Fetches one picture: every address checked, every quantity bounded, every fault named."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

import certifi

from shared.errors import DiskRefused, ItemCode, ItemPermanent, ItemTransient
from shared.fetch.addresses import Network
from shared.fetch.answers import redirect_location
from shared.fetch.connections import Connection, Connections
from shared.fetch.cookies import Cookies
from shared.fetch.faults import AnswerTooLong, bad_answer, too_large
from shared.fetch.hosts import PAUSE_SECONDS, Hosts, PicturePutOff
from shared.fetch.http1 import Answer
from shared.fetch.lookup import Lookup
from shared.fetch.picture import (
    SMALL_BYTES,
    FetchedPicture,
    Validators,
    drain,
    read_picture,
)
from shared.fetch.resolver import Resolver, SystemResolver
from shared.fetch.urls import PictureUrl, blocked_port, parse_picture_url
from shared.metrics import IMAGE_FETCH_SECONDS, IMAGE_FETCHES
from shared.settings import DEFAULT_USER_AGENT

ORIGIN: Final = "origin"

_HEADERS: Final = {
    # The formats that are opened, because servers choose among the named ones.
    "Accept": "image/avif,image/webp,image/png,image/jpeg,image/gif,image/bmp,image/*;q=0.1",
    # Pictures are packed already; unpacking is one more thing that a server could abuse.
    "Accept-Encoding": "identity",
}
_HEAD_BYTES: Final = 256 * 1024
"""Beside a body, which in chunks may be sent with a quarter more than itself."""
_CONNECTION_FAULTS: Final = frozenset({ItemCode.IMAGE_TIMEOUT, ItemCode.IMAGE_UNREACHABLE})

_Came = FetchedPicture | str | None
"""The picture, the URL that a redirect leads to, or None if the picture has not changed."""
_Read = Callable[[Answer], _Came]


class Fetcher:
    """Fetches pictures over kept connections; one object serves all threads.

    The name of a host is resolved once per request and redirect; all of its addresses must be
    reachable by the rules of `addresses.py`, and the connection goes to one of those very
    addresses, so that a second answer of DNS can't lead elsewhere.
    """

    def __init__(
        self,
        allowed_networks: Sequence[Network],
        max_bytes: int,
        timeout_seconds: float,
        *,
        max_redirects: int = 5,
        connections: int = 32,
        resolver: Resolver | None = None,
        ca_file: str | None = None,
        pause_seconds: float = PAUSE_SECONDS,
        own_ports: Collection[int] = (),
        user_agent: str = DEFAULT_USER_AGENT,
        referer: str = "",
        most_in_memory: int = SMALL_BYTES,
    ) -> None:
        """Bounds for each picture, and the means to reach it.

        `allowed_networks` are reachable beside public addresses. `max_bytes` bounds the body as
        sent and as unpacked, `timeout_seconds` everything from the name's resolution to the last
        byte, redirects included. `connections`: as many as threads fetch at once; twice as many
        are kept. `ca_file` (PEM) replaces certifi's authorities. A server that fails time and
        again, or asks for patience, is left alone for `pause_seconds` at most. `own_ports` are
        those of this service's own servers, whatever address they are reached by. `referer`: a
        URL, or "origin" for the picture's own. A picture of more than `most_in_memory` bytes lies
        on the disk.
        """
        self.max_bytes = max_bytes
        self._timeout = timeout_seconds
        self._max_redirects = max_redirects
        self._hosts = Hosts(pause_seconds)
        self._lookup = Lookup(resolver or SystemResolver(), allowed_networks, connections)
        self._connections = Connections(2 * connections, ca_file or certifi.where())
        self._own_ports = frozenset(own_ports)
        self._headers = {"User-Agent": user_agent, **_HEADERS}
        self._referer = referer
        self._most_in_memory = most_in_memory

    def fetch(self, url: str) -> FetchedPicture:
        """The picture at `url`, at most `max_bytes` large, within `timeout_seconds`.

        Decoding finds out whether it is a picture: the content type is not looked at. Raises
        `ItemTransient` if another try may succeed (`PicturePutOff` if none was made),
        `ItemPermanent` if not, and `DiskRefused` if the disk takes no large picture now.
        """
        picture = self.fetch_if_changed(url, None)
        assert picture is not None  # noqa: S101 - without a condition there is no 304
        return picture

    def fetch_if_changed(self, url: str, known: Validators | None) -> FetchedPicture | None:
        """As `fetch`; None if the server says that the picture is still the known one."""
        started = time.monotonic()
        result = "ok"
        try:
            condition = known.headers() if known else {}
            picture = self._follow(parse_picture_url(url), condition, started + self._timeout)
        except (ItemTransient, ItemPermanent) as fault:
            result = "put_off" if isinstance(fault, PicturePutOff) else fault.code
            raise
        except DiskRefused as err:
            result = err.code
            raise
        except Exception:
            result = ItemCode.INTERNAL_ERROR
            raise
        else:
            if picture is None:
                result = "not_modified"
            return picture
        finally:
            IMAGE_FETCHES.labels(result=result).inc()
            IMAGE_FETCH_SECONDS.observe(time.monotonic() - started)

    def close(self) -> None:
        """Close kept connections. Lookups under way end on their own."""
        self._connections.close()
        self._lookup.close()

    def _follow(
        self, url: PictureUrl, condition: Mapping[str, str], deadline: float
    ) -> FetchedPicture | None:
        first, cookies = url, Cookies()
        for _ in range(self._max_redirects + 1):
            if url.port in self._own_ports:
                raise blocked_port(url.port)
            request = self._request(url, condition, cookies)
            read = partial(self._read, url, cookies, bool(condition))
            with self._hosts.visit(url.authority):
                came = self._ask(url, request, read, bool(condition), deadline)
            if not isinstance(came, str):
                if came and url is not first:
                    # Validators of this address are none of the first one's, which may lead
                    # elsewhere tomorrow, to an older picture, say.
                    came.etag = came.last_modified = None
                return came
            url, condition = url.follow(came), {}
        raise ItemPermanent(
            ItemCode.IMAGE_HTTP_ERROR,
            f"The picture server redirects more than {self._max_redirects} times.",
        )

    def _request(self, url: PictureUrl, condition: Mapping[str, str], cookies: Cookies) -> bytes:
        headers = {"Host": url.authority, **self._headers, **condition}
        if self._referer:
            own = f"{url.scheme}://{url.authority}/"
            headers["Referer"] = own if self._referer == ORIGIN else self._referer
        if cookie := cookies.header(url):
            headers["Cookie"] = cookie
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        return f"GET {url.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1")

    def _ask(
        self, url: PictureUrl, request: bytes, read: _Read, conditional: bool, deadline: float
    ) -> _Came:
        """The result of the request, over a kept connection or a new one."""
        addresses = self._lookup.checked_addresses(url, deadline)
        kept = self._connections.kept(url, addresses, conditional)
        try:
            if kept is not None:
                try:
                    return self._exchange(kept, request, read, deadline)
                except ItemTransient as fault:
                    # It may have died without a sign, or hold a picture that nobody asked for,
                    # which says nothing of a new connection.
                    if fault.code not in _CONNECTION_FAULTS:
                        raise
            new = self._connections.open(url, addresses, deadline)
            return self._exchange(new, request, read, deadline)
        except AnswerTooLong:
            raise too_large(self.max_bytes) from None

    def _exchange(
        self, connection: Connection, request: bytes, read: _Read, deadline: float
    ) -> _Came:
        """Asks and reads. The connection is kept if nothing of the answer was odd."""
        answer, done = None, False
        try:
            connection.send(request, deadline, self.max_bytes * 5 // 4 + _HEAD_BYTES)
            answer = Answer(connection)
            if connection.after_unchanged and answer.head.status != HTTPStatus.NOT_MODIFIED:
                raise bad_answer("The picture server's answer may belong to another picture.")
            came = read(answer)
            done = True
        except ItemPermanent:
            # A refusal that says something. Behind an empty one the answer may still be to come.
            done = answer is not None and answer.head.status >= 400 and answer.length != 0
            raise
        finally:
            if done and answer is not None and answer.may_be_kept:
                unchanged = answer.head.status == HTTPStatus.NOT_MODIFIED
                self._connections.keep(connection, unchanged)
            else:
                connection.close()
        return came

    def _read(self, url: PictureUrl, cookies: Cookies, conditional: bool, answer: Answer) -> _Came:
        if answer.head.status == HTTPStatus.NOT_MODIFIED and conditional:
            return None
        location = redirect_location(answer.head)
        if location is None:
            return read_picture(answer, self.max_bytes, self._most_in_memory)
        cookies.take(url, answer.head)
        drain(answer)
        return location
