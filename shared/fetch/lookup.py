"""The addresses that a URL leads to, all of them checked, within a deadline."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.fetch.addresses import Address, Network, is_reachable
from shared.fetch.faults import seconds_left, timed_out, unreachable
from shared.fetch.resolver import Resolver
from shared.fetch.urls import PictureUrl

log = structlog.get_logger(__name__)

_INTERNAL: Final = frozenset(
    {"local", "localhost", "localdomain", "internal", "intranet", "private", "corp", "home", "lan"}
    | {"home.arpa", "mail", "invalid", "onion", "consul", "svc"}
)
"""Endings that public DNS will never have (RFC 6761, RFC 6762, RFC 8375, ICANN's reserved ones), or
that companies and containers use for names of their own."""


class Lookup:
    """Resolves names; refuses those of which one address may not be reached.

    Shops have no business with our network's map. So a name that can't be public is answered in
    one way, whether it exists or not; the log says which.
    """

    def __init__(self, resolver: Resolver, allowed: Sequence[Network], threads: int) -> None:
        """`allowed` networks are reachable beside public addresses."""
        self._resolver = resolver
        self._allowed = tuple(allowed)
        # getaddrinfo takes no timeout, so it runs on a thread that its caller can stop waiting for.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="picture-dns")

    def checked_addresses(self, url: PictureUrl, deadline: float) -> Sequence[Address]:
        """All addresses of the URL's host, best first; `deadline` in monotonic seconds.

        Raises `ItemPermanent` if one of them is blocked or the name is none, and
        `ItemTransient` if there is no answer.
        """
        if url.address:
            return self._checked(url, (url.address,))
        if not _is_internal(url.host):
            return self._checked(url, self._resolve(url.host, deadline))
        if not self._allowed:
            # Not even asked for, so that the time that an answer takes tells nothing.
            raise self._refused(url, "no network is allowed")
        try:
            return self._checked(url, self._resolve(url.host, deadline))
        except (ItemTransient, ItemPermanent) as fault:
            # It may be the operator's own picture server; its name comes back with it.
            raise self._refused(url, fault.message, may_pass=True) from fault

    def close(self) -> None:
        """Lookups under way end on their own."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _checked(self, url: PictureUrl, addresses: Sequence[Address]) -> Sequence[Address]:
        if not all(is_reachable(address, self._allowed) for address in addresses):
            raise self._refused(url, ", ".join(map(str, addresses)))
        return addresses

    def _refused(self, url: PictureUrl, why: str, *, may_pass: bool = False) -> ItemFault:
        log.info("picture_address_refused", host=url.host, why=why)
        kind = ItemTransient if may_pass else ItemPermanent
        return kind(
            ItemCode.IMAGE_BLOCKED_ADDRESS,
            "The URL leads to no public address, so it is not fetched. Whoever runs the service "
            "can allow its network (IMAGE_ALLOWED_NETWORKS).",
        )

    def _resolve(self, host: str, deadline: float) -> Sequence[Address]:
        lookup = self._pool.submit(self._resolver.resolve, host)
        try:
            return lookup.result(timeout=seconds_left(deadline))
        except TimeoutError:
            lookup.cancel()
            raise timed_out() from None
        except UnicodeError:
            raise ItemPermanent(ItemCode.INVALID_URL, "The URL's host name is malformed.") from None
        except OSError as err:
            # Also if DNS says that there is no such name: resolvers say so, too, while a
            # network is down or a new domain is on its way, and a few more lookups cost little.
            raise unreachable("The picture server's name can't be resolved.") from err


def _is_internal(host: str) -> bool:
    """Whether no public server can have this name: it has no dot, or an ending of our own."""
    labels = host.split(".")
    if host == "localhost":
        return False  # it exists everywhere
    return len(labels) == 1 or labels[-1] in _INTERNAL or ".".join(labels[-2:]) in _INTERNAL
