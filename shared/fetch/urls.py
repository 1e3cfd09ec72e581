"""Reads a picture's URL, and refuses those that must never be fetched. Pure rules, no I/O.

Ports: 80, 443 and everything from 1024 up but the ports in `_SERVICE_PORTS`. The rule holds for
allowed networks too, because an operator who allows one for pictures does not mean its databases.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from ada_url import URL, HostType

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.addresses import Address

MAX_URL_LENGTH: Final = 2_000

_REMEMBERED: Final = 512
"""URLs kept apart: a picture's is asked for its host when it is queued, and again when it is
fetched. More than a process has queued at once; a few megabytes if all are the longest."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FIRST_UNPRIVILEGED_PORT: Final = 1024

_SERVICE_PORTS: Final = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668}
    | {6669, 6679, 6697, 10080}
    | {1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 6333, 6334, 6379, 6380}
    | {9042, 9200, 9300, 10250, 11211, 26379, 27017}
)
"""Above 1023: the ports that browsers refuse (WHATWG Fetch, "port blocking"), and those of well
known databases, brokers and consoles, which would take an HTTP request for their own language."""

WHITE_SPACE: Final = " \t\r\n\f\v"
"""Is cut off around a URL, as browsers do."""

FORBIDDEN_IN_URL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Browsers take tabs and line ends out of the middle of a URL. In a shop's URL they are refused,
because the program that wrote them meant something else, a header, say."""

# Browsers take more names than DNS has: with commas, or with labels of any length.
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_HOST_LENGTH: Final = 253


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
        return _read(location, str(self))


@lru_cache(maxsize=_REMEMBERED)
def parse_picture_url(url: str) -> PictureUrl:
    """Checks `url` and takes it apart as browsers do, by the WHATWG's URL standard.

    An IPv4 address may be spelled in any way (`0x7f.1`): it is read as that address, which is
    checked before a connection is made.

    Raises `ItemPermanent` with `invalid_url` if the URL is malformed, and with
    `image_blocked_address` if its port is refused.
    """
    url = url.strip(WHITE_SPACE)
    if FORBIDDEN_IN_URL.search(url):
        raise _invalid("The URL holds control characters; escape them.")
    return _read(url)


def _read(url: str, base: str | None = None) -> PictureUrl:
    if len(url) > MAX_URL_LENGTH:
        raise _invalid(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    try:
        parts = URL(url, base)
    except ValueError:
        raise _invalid(
            "The URL is malformed, or does not begin with http:// or https://."
        ) from None
    scheme = parts.protocol.removesuffix(":")
    if scheme not in _DEFAULT_PORTS:
        raise _invalid("The URL must begin with http:// or https://.")
    if parts.username or parts.password:
        raise _invalid("The URL must not hold a user name or password.")
    host, address = _host(parts)
    port = int(parts.port or _DEFAULT_PORTS[scheme])
    if not _port_allowed(port):
        raise blocked_port(port)
    # `parts.search` would lose a question mark with nothing behind it.
    path = parts.href.removeprefix(parts.origin).partition("#")[0]
    return PictureUrl(scheme, host, port, path, address)


def _host(parts: URL) -> tuple[str, Address | None]:
    host = parts.hostname.strip("[]").removesuffix(".")
    if parts.host_type is not HostType.DEFAULT:
        address = ip_address(host)
        return str(address), address
    if len(host) > _MAX_HOST_LENGTH or not _HOST_NAME.fullmatch(host):
        raise _invalid("The URL's host name is malformed.")
    return host, None


def _port_allowed(port: int) -> bool:
    if port in _DEFAULT_PORTS.values():
        return True
    return port >= _FIRST_UNPRIVILEGED_PORT and port not in _SERVICE_PORTS


def blocked_port(port: int) -> ItemPermanent:
    """The fault of a URL with a port that is not for pictures."""
    return ItemPermanent(
        ItemCode.IMAGE_BLOCKED_ADDRESS, f"Pictures are not fetched from port {port}."
    )


def _invalid(message: str) -> ItemPermanent:
    return ItemPermanent(ItemCode.INVALID_URL, message)
