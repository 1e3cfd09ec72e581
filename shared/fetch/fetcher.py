"""Fetches one picture: every address checked, every quantity bounded, every fault named."""

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

import certifi
import requests
import urllib3.exceptions

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.addresses import Address, Network, is_reachable
from shared.fetch.answers import (
    announced_length,
    is_coded,
    read_body,
    redirect_location,
    status_fault,
    too_large,
    validator,
)
from shared.fetch.hosts import PAUSE_SECONDS, HostPutOff, Hosts
from shared.fetch.resolver import Resolver, SystemResolver
from shared.fetch.transport import AnswerTooLong, PinnedAdapter, PinnedRequest
from shared.fetch.urls import PictureUrl, parse_picture_url
from shared.metrics import IMAGE_FETCH_SECONDS, IMAGE_FETCHES

_HEADERS: Final = {
    "User-Agent": "Vitrine/0.1 (product picture fetcher)",
    "Accept": "image/*",
    # Pictures are packed already; unpacking is one more thing that a server could abuse.
    "Accept-Encoding": "identity",
}
_CHUNK_BYTES: Final = 64 * 1024
# A name with more addresses than this has one that answers among the first, or none.
_MAX_CONNECT_ATTEMPTS: Final = 3
# Beside a body, which in chunks may be sent with a quarter more than itself.
_HEAD_BYTES: Final = 256 * 1024
# A body this small is read to the end, though not wanted, so that the connection can be kept.
_MAX_DRAINED_BYTES: Final = 16 * 1024


SMALL_BYTES: Final = 2**20
"""Most pictures; they are fetched whatever memory others take."""

Admit = Callable[[int], bool]
"""Whether there is memory for a picture of so many bytes, at once; it is then taken."""


class MemoryShort(Exception):
    """There is no memory for the picture now. Nothing is wrong with it, nor with its server."""


@dataclass(frozen=True, slots=True)
class FetchedPicture:
    """A picture server's answer: the bytes as sent (not decoded) and its validators, if any."""

    data: bytes
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Validators:
    """What a picture server said of the picture that is known, to ask whether it still holds."""

    etag: str | None
    last_modified: str | None

    def headers(self) -> Mapping[str, str]:
        """A condition for the request; an ETag is exact, so it is preferred (RFC 9110)."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


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
        self._allowed = tuple(allowed_networks)
        self.max_bytes = max_bytes
        self._timeout = timeout_seconds
        self._max_redirects = max_redirects
        self._resolver = resolver or SystemResolver()
        self._hosts = Hosts(pause_seconds)
        # getaddrinfo takes no timeout, so it runs where its caller can stop waiting for it.
        self._lookups = ThreadPoolExecutor(connections, thread_name_prefix="picture-dns")
        self._adapter = PinnedAdapter(
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
        self._adapter.close()
        self._lookups.shutdown(wait=False, cancel_futures=True)

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
                _faults_translated(self.max_bytes),
                self._open(url, headers, deadline) as response,
            ):
                if response.status_code == HTTPStatus.NOT_MODIFIED and headers is not _HEADERS:
                    _drain(response)
                    return None
                location = redirect_location(response)
                if location is None:
                    picture = self._picture(response, admit)
                    # What says of this address that nothing has changed can't say that of the
                    # first one, which may lead elsewhere tomorrow, to an older picture, say.
                    return (
                        picture if url is first else replace(picture, etag=None, last_modified=None)
                    )
                _drain(response)
            url, headers = url.follow(location), _HEADERS
        raise ItemPermanent(
            ItemCode.IMAGE_HTTP_ERROR,
            f"The picture server redirects more than {self._max_redirects} times.",
        )

    def _open(
        self, url: PictureUrl, headers: Mapping[str, str], deadline: float
    ) -> requests.Response:
        """Connect to the first checked address that accepts, and read the answer's headers."""
        addresses = self._checked_addresses(url, deadline)[:_MAX_CONNECT_ATTEMPTS]
        for position, address in enumerate(addresses):
            left = _left(deadline)
            # The addresses still to be tried share the time, so that one that swallows packets
            # leaves some for the next.
            connect = left / (len(addresses) - position)
            request = PinnedRequest(url, address, headers)
            try:
                return self._adapter.open(request, connect=connect, total=left)
            except requests.ConnectionError as err:
                if position + 1 == len(addresses) or not _never_connected(err):
                    raise
        raise _unreachable("The picture server's name has no address.")

    def _checked_addresses(self, url: PictureUrl, deadline: float) -> Sequence[Address]:
        addresses = (url.address,) if url.address else self._resolve(url.host, deadline)
        if not all(is_reachable(address, self._allowed) for address in addresses):
            # Which address it was is not told: shops have no business with our network's map.
            raise ItemPermanent(
                ItemCode.IMAGE_BLOCKED_ADDRESS,
                "The URL leads to an address that is not public, so it is not fetched. Whoever "
                "runs the service can allow its network (IMAGE_ALLOWED_NETWORKS).",
            )
        return addresses

    def _resolve(self, host: str, deadline: float) -> Sequence[Address]:
        lookup = self._lookups.submit(self._resolver.resolve, host)
        try:
            return lookup.result(timeout=_left(deadline))
        except TimeoutError:
            lookup.cancel()
            raise _timed_out() from None
        except UnicodeError:
            raise ItemPermanent(ItemCode.INVALID_URL, "The URL's host name is malformed.") from None
        except OSError as err:
            # Also where DNS says that there is no such name: resolvers say so, too, while a
            # network is down or a new domain is on its way, and a few more lookups cost little.
            raise _unreachable("The picture server's name can't be resolved.") from err

    def _picture(self, response: requests.Response, admit: Admit | None) -> FetchedPicture:
        fault = status_fault(response)
        if fault is not None:
            _drain(response)
            raise fault
        length, encoding = announced_length(response), response.headers.get("Content-Encoding")
        if (length or 0) > self.max_bytes:
            raise too_large(self.max_bytes)

        def take(size: int) -> None:
            if admit is not None and not admit(size):
                raise MemoryShort

        room = SMALL_BYTES
        if length is not None and length > room and not is_coded(encoding):
            take(length)
            room = length
        return FetchedPicture(
            data=read_body(
                response.raw.stream(_CHUNK_BYTES, decode_content=False),
                encoding,
                self.max_bytes,
                room,
                lambda: take(self.max_bytes),
            ),
            etag=validator(response.headers.get("ETag")),
            last_modified=validator(response.headers.get("Last-Modified")),
        )


def _drain(response: requests.Response) -> None:
    """Read a small unwanted body, so that its connection is kept; errors no longer matter."""
    # An answer of 304 has none, whatever length it announces: that is the picture's.
    not_modified = response.status_code == HTTPStatus.NOT_MODIFIED
    length = 0 if not_modified else announced_length(response)
    if length is not None and length <= _MAX_DRAINED_BYTES:
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
            response.raw.read(_MAX_DRAINED_BYTES, decode_content=False)


@contextlib.contextmanager
def _faults_translated(max_bytes: int) -> Iterator[None]:
    """Turn the errors of requests (sending) and urllib3 (reading the body) into item faults."""
    try:
        yield
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as err:
        raise _timed_out() from err
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as err:
        if _caused_by(err, ssl.SSLCertVerificationError):
            raise ItemPermanent(
                ItemCode.IMAGE_UNREACHABLE,
                "The picture server's certificate is not valid for its name, or has expired.",
            ) from err
        raise _unreachable("The picture server's TLS connection failed.") from err
    except requests.exceptions.InvalidURL as err:
        raise ItemPermanent(ItemCode.INVALID_URL, "The URL is malformed.") from err
    # urllib3 asks for as many bytes as a chunk says it has, negative numbers, too: ValueError.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as err:
        if _caused_by(err, AnswerTooLong):
            raise too_large(max_bytes) from err
        raise _unreachable("The picture server can't be reached, or broke off.") from err


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error of `kind` stands behind `error`, however the libraries wrapped it."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if isinstance(current, kind):
            return True
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            waiting += [*current.args, getattr(current, "reason", None), current.__cause__]
            waiting.append(current.__context__)
    return False


def _never_connected(error: requests.ConnectionError) -> bool:
    return _caused_by(error, urllib3.exceptions.NewConnectionError) or isinstance(
        error, requests.ConnectTimeout
    )


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _timed_out()
    return left


def _timed_out() -> ItemTransient:
    return ItemTransient(ItemCode.IMAGE_TIMEOUT, "The picture server took too long to answer.")


def _unreachable(message: str) -> ItemTransient:
    return ItemTransient(ItemCode.IMAGE_UNREACHABLE, message)
