"""Fetches one picture: every address checked, every quantity bounded, every fault named."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import certifi
from urllib3 import BaseHTTPResponse

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.addresses import Network
from shared.fetch.answers import redirect_location
from shared.fetch.faults import NEVER_CONNECTED, faults_translated, seconds_left, unreachable
from shared.fetch.hosts import PAUSE_SECONDS, HostPutOff, Hosts
from shared.fetch.lookup import Lookup
from shared.fetch.picture import Admit, FetchedPicture, MemoryShort, Validators, drain, read_picture
from shared.fetch.resolver import Resolver, SystemResolver
from shared.fetch.transport import PinnedTransport
from shared.fetch.urls import PictureUrl, parse_picture_url
from shared.metrics import IMAGE_FETCH_SECONDS, IMAGE_FETCHES

_HEADERS: Final = {
    "User-Agent": "Vitrine/0.1 (product picture fetcher)",
    "Accept": "image/*",
    # Pictures are packed already; unpacking is one more thing that a server could abuse.
    "Accept-Encoding": "identity",
}
# A name with more addresses than this has one that answers among the first, or none.
_MAX_CONNECT_ATTEMPTS: Final = 3
# Beside a body, which in chunks may be sent with a quarter more than itself.
_HEAD_BYTES: Final = 256 * 1024


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
    ) -> None:
        """Bounds for each picture, and what to reach it with.

        `allowed_networks` are reachable beside public addresses. `max_bytes` bounds the body as
        sent and as unpacked, `timeout_seconds` everything from the name's resolution to the last
        byte, redirects included. `connections` are kept per host: as many as threads fetch at
        once. `ca_file` (PEM) replaces certifi's authorities. A server that fails time and again, or
        asks for patience, is left alone for `pause_seconds` at most.
        """
        self.max_bytes = max_bytes
        self._timeout = timeout_seconds
        self._max_redirects = max_redirects
        self._hosts = Hosts(pause_seconds)
        self._lookup = Lookup(resolver or SystemResolver(), allowed_networks, connections)
        self._transport = PinnedTransport(
            connections, ca_file or certifi.where(), max_bytes * 5 // 4 + _HEAD_BYTES
        )

    def fetch(self, url: str) -> FetchedPicture:
        """The picture at `url`, at most `max_bytes` large, within `timeout_seconds`.

        Whether it is a picture at all is for decoding to find out: the content type is not looked
        at. Raises `ItemTransient` where another try may succeed (`HostPutOff` where none was made)
        and `ItemPermanent` where not.
        """
        picture = self.fetch_if_changed(url, None)
        assert picture is not None  # noqa: S101 - without a condition there is no 304
        return picture

    def fetch_if_changed(
        self, url: str, known: Validators | None, admit: Admit | None = None
    ) -> FetchedPicture | None:
        """As `fetch`; None where the server says that the picture is still the known one.

        `admit` is asked for the memory of a picture beyond `SMALL_BYTES`, before it is read: for
        what its server announces, or for the largest. Raises MemoryShort where it says no, rather
        than have the server wait.
        """
        started = time.monotonic()
        result = "ok"
        try:
            conditions = known.headers() if known else {}
            headers = {**_HEADERS, **conditions} if conditions else _HEADERS
            picture = self._follow(parse_picture_url(url), headers, started + self._timeout, admit)
        except MemoryShort:
            result = "put_off"
            raise
        except (ItemTransient, ItemPermanent) as fault:
            result = "put_off" if isinstance(fault, HostPutOff) else fault.code
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
        self._transport.close()
        self._lookup.close()

    def _follow(
        self,
        url: PictureUrl,
        headers: Mapping[str, str],
        deadline: float,
        admit: Admit | None,
    ) -> FetchedPicture | None:
        first = url
        for _ in range(self._max_redirects + 1):
            with (
                self._hosts.visit(url.authority),
                faults_translated(self.max_bytes),
                closing(self._open(url, headers, deadline)) as response,
            ):
                if response.status == HTTPStatus.NOT_MODIFIED and headers is not _HEADERS:
                    drain(response)
                    return None
                location = redirect_location(response)
                if location is None:
                    picture = read_picture(response, self.max_bytes, admit)
                    # What says of this address that nothing has changed can't say that of the
                    # first one, which may lead elsewhere tomorrow, to an older picture, say.
                    return (
                        picture if url is first else replace(picture, etag=None, last_modified=None)
                    )
                drain(response)
            url, headers = url.follow(location), _HEADERS
        raise ItemPermanent(
            ItemCode.IMAGE_HTTP_ERROR,
            f"The picture server redirects more than {self._max_redirects} times.",
        )

    def _open(
        self, url: PictureUrl, headers: Mapping[str, str], deadline: float
    ) -> BaseHTTPResponse:
        """Connect to the first checked address that accepts, and read the answer's headers."""
        addresses = self._lookup.checked_addresses(url, deadline)[:_MAX_CONNECT_ATTEMPTS]
        for position, address in enumerate(addresses):
            left = seconds_left(deadline)
            # The addresses still to be tried share the time, so that one that swallows packets
            # leaves some for the next.
            connect = left / (len(addresses) - position)
            try:
                return self._transport.open(url, address, headers, connect=connect, total=left)
            except NEVER_CONNECTED:
                if position + 1 == len(addresses):
                    raise
        raise unreachable("The picture server's name has no address.")
