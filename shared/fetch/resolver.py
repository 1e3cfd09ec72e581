"""Asks DNS for a host's addresses."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

from shared.fetch.addresses import Address


class Resolver(Protocol):
    """Turns a host name into addresses."""

    def resolve(self, host: str) -> Sequence[Address]:
        """All addresses of `host`, best first. Raises `OSError` if there is no answer."""
        ...


class SystemResolver:
    """The machine's own resolver: /etc/hosts, then the configured DNS servers.

    A call may block for as long as the system's resolver waits; `Fetcher` bounds it.
    """

    def resolve(self, host: str) -> Sequence[Address]:
        """All addresses of `host` in the system's order of preference (RFC 6724), each once.

        Raises `socket.gaierror` if the name can't be resolved, `UnicodeError` if a label of
        it is too long.
        """
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
