"""Reads a picture's URL and refuses what must never be fetched. Pure rules, no I/O.

Ports: 80, 443 and everything from 1024 up but the ports in `_SERVICE_PORTS`. The rule holds for
allowed networks too: who opens their own network for pictures does not mean its databases.
"""

import re
import socket
import string
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import idna

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.addresses import Address

MAX_URL_LENGTH: Final = 2_000

_REMEMBERED: Final = 512
"""URLs kept apart: a picture's is asked for its host when it is queued, and again when it is
fetched. More than a process has queued at once; a few megabytes if all are the longest."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FIRST_UNPRIVILEGED_PORT: Final = 1024

# Above 1023: the ports that browsers refuse (WHATWG Fetch, "port blocking"), and those of well
# known databases, brokers and consoles, which would take an HTTP request for their own language.
_SERVICE_PORTS: Final = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668}
    | {6669, 6679, 6697, 10080}
    | {1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 6333, 6334, 6379, 6380}
    | {9042, 9200, 9300, 10250, 11211, 26379, 27017}
)

WHITE_SPACE: Final = " \t\r\n\f\v"
"""Is cut off around a URL, as browsers do."""

# Browsers take tabs and line ends out of the middle of a URL; here they are refused, because
# another program may read them as the begin of a header. Halves of surrogate pairs can't be sent.
FORBIDDEN_IN_URL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# What browsers send as it is (WHATWG URL, the percent-encode sets of path and query): no "%" of
# the shop's is touched, because a signature may have been made over it.
_PLAIN: Final = "".join(set(string.punctuation) - set('"#<>'))
_PLAIN_IN_PATH: Final = "".join(set(_PLAIN) - set("?^`{}"))
_PLAIN_IN_QUERY: Final = _PLAIN.replace("'", "")
_DOT: Final = re.compile(r"\.|%2e", re.IGNORECASE)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:")
_MAX_HOST_LENGTH: Final = 253
_IN_BRACKETS: Final = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class PictureUrl:
    """A URL that may be fetched as far as it can be told without asking DNS.

    `host` is a lower-case ASCII name or the text of an IP address without brackets; `address` is
    that address, or None for a name. `path` starts with "/" and holds the query, both as they are
    sent: as the shop wrote them, but without dot segments and with characters escaped that must be.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None

    @property
    def authority(self) -> str:
        """Host and port as in the `Host` header: the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def follow(self, location: str) -> "PictureUrl":
        """The URL that a redirect's `Location` leads to, checked like any other.

        Raises `ItemPermanent` like `parse_picture_url`.
        """
        joined = self._joined(_with_slashes(location.strip(WHITE_SPACE)))
        return parse_picture_url(joined)

    def _joined(self, reference: str) -> str:
        """The reference on this URL, as browsers put it there. `urllib.parse.urljoin` drops empty
        segments, which proxies of pictures need: `/300x300/https://shop.example/a.jpg`.
        """
        if _SCHEME.match(reference):
            return reference
        if reference.startswith("//"):
            return f"{self.scheme}:{reference}"
        path = self.path.partition("?")[0]
        if reference.startswith("/"):
            path = ""
        elif reference.startswith(("?", "#")) or not reference:
            path = path if reference else self.path
        else:
            path = path[: path.rindex("/") + 1]
        return f"{self.scheme}://{self.authority}{path}{reference}"


@lru_cache(maxsize=_REMEMBERED)
def parse_picture_url(url: str) -> PictureUrl:
    """Check `url` and take it apart.

    Raises `ItemPermanent` with `invalid_url` if it is malformed, and with
    `image_blocked_address` if its port, or a number in place of its host, is refused.
    """
    parts = _split(url)
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise _invalid("The URL must begin with http:// or https://.")
    if "@" in parts.netloc:
        raise _invalid("The URL must not hold a user name or password.")
    host, address = _host(parts)
    port = parts.port if parts.port is not None else _DEFAULT_PORTS[scheme]
    if not _port_allowed(port):
        raise blocked_port(port)
    return PictureUrl(scheme, host, port, _path(parts), address)


def _split(url: str) -> SplitResult:
    url = url.strip(WHITE_SPACE)
    if len(url) > MAX_URL_LENGTH:
        raise _invalid(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if FORBIDDEN_IN_URL.search(url):
        raise _invalid("The URL holds control characters; escape them.")
    try:
        parts = urlsplit(url)
        if "\\" in parts.netloc and "@" not in parts.netloc:
            parts = urlsplit(_with_slashes(url))
        _ = parts.port  # raises if it is no number up to 65535
    except ValueError:
        raise _invalid("The URL is malformed.") from None
    return parts


def _path(parts: SplitResult) -> str:
    """Path and query as browsers send them."""
    kept: list[str] = []
    segments = _with_slashes(parts.path or "/").split("/")[1:]
    for position, segment in enumerate(segments, 1):
        dots = _DOT.sub(".", segment)
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append(segment)
            continue
        if position == len(segments):
            kept.append("")
    path = quote("/" + "/".join(kept), safe=_PLAIN_IN_PATH)
    return path + (f"?{quote(parts.query, safe=_PLAIN_IN_QUERY)}" if parts.query else "")


def _with_slashes(path: str) -> str:
    """As browsers read backslashes, which mean slashes but in a query or a fragment."""
    end = re.search(r"[?#]|\Z", path).start()  # type: ignore[union-attr]
    return path[:end].replace("\\", "/") + path[end:]


def _host(parts: SplitResult) -> tuple[str, Address | None]:
    host = parts.hostname or ""
    if "[" in parts.netloc or ":" in host:
        if not _IN_BRACKETS.fullmatch(parts.netloc):
            # Python overlooks what stands around the brackets; others take it for a name.
            raise _invalid("The URL's IPv6 address is malformed.")
        return _ipv6_host(host)
    if not host.isascii():
        try:
            # As browsers do, so that full-width digits, for one, can't hide an address.
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise _invalid("The URL's host name is malformed.") from None
    host = host.lower().removesuffix(".")
    if len(host) > _MAX_HOST_LENGTH or not _HOST_NAME.fullmatch(host):
        raise _invalid("The URL's host name is malformed.")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        # No top-level domain is a number, so resolvers take such a host for an IPv4 address.
        return host, _ipv4_host(host)
    return host, None


def _ipv6_host(host: str) -> tuple[str, Address]:
    try:
        address = IPv6Address(host)
    except ValueError:
        raise _invalid("The URL's IPv6 address is malformed.") from None
    if address.scope_id is not None:
        raise ItemPermanent(
            ItemCode.IMAGE_BLOCKED_ADDRESS, "The URL's IPv6 address must not name a zone."
        )
    return str(address), address


def _ipv4_host(host: str) -> IPv4Address:
    """The address that `host` writes as four decimal numbers.

    Other notations (`127.1`, `0x7f000001`, `2130706433`, `0177.0.0.1`) mean different addresses
    to different readers, so they are refused even if they would be public.
    """
    try:
        return IPv4Address(host)
    except ValueError:
        pass
    try:
        socket.inet_aton(host)  # reads the old notations; it asks no server
    except OSError:
        raise _invalid("The URL's IPv4 address is malformed.") from None
    raise ItemPermanent(
        ItemCode.IMAGE_BLOCKED_ADDRESS,
        "The URL's IPv4 address must be written as four decimal numbers.",
    )


def _port_allowed(port: int) -> bool:
    if port in _DEFAULT_PORTS.values():
        return True
    return port >= _FIRST_UNPRIVILEGED_PORT and port not in _SERVICE_PORTS


def blocked_port(port: int) -> ItemPermanent:
    """The fault of a URL whose port is not one for pictures."""
    return ItemPermanent(
        ItemCode.IMAGE_BLOCKED_ADDRESS, f"Pictures are not fetched from port {port}."
    )


def _invalid(message: str) -> ItemPermanent:
    return ItemPermanent(ItemCode.INVALID_URL, message)
