"""Which addresses a URL leads to, all of them checked, within a deadline."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.addresses import Address, Network, is_reachable
from shared.fetch.faults import seconds_left, timed_out, unreachable
from shared.fetch.resolver import Resolver
from shared.fetch.urls import PictureUrl


class Lookup:
    """Resolves names; refuses those of which one address may not be reached."""

    def __init__(self, resolver: Resolver, allowed: Sequence[Network], threads: int) -> None:
        """`allowed` networks are reachable beside public addresses."""
        self._resolver = resolver
        self._allowed = tuple(allowed)
        # getaddrinfo takes no timeout, so it runs where its caller can stop waiting for it.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="picture-dns")

    def checked_addresses(self, url: PictureUrl, deadline: float) -> Sequence[Address]:
        """All addresses of the URL's host, best first; `deadline` in monotonic seconds.

        Raises `ItemPermanent` where one of them is blocked or the name is none, and
        `ItemTransient` where there is no answer.
        """
        addresses = (url.address,) if url.address else self._resolve(url.host, deadline)
        if not all(is_reachable(address, self._allowed) for address in addresses):
            # Which address it was is not told: shops have no business with our network's map.
            raise ItemPermanent(
                ItemCode.IMAGE_BLOCKED_ADDRESS,
                "The URL leads to an address that is not public, so it is not fetched. Whoever "
                "runs the service can allow its network (IMAGE_ALLOWED_NETWORKS).",
            )
        return addresses

    def close(self) -> None:
        """Lookups under way end on their own."""
        self._pool.shutdown(wait=False, cancel_futures=True)

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
            # Also where DNS says that there is no such name: resolvers say so, too, while a
            # network is down or a new domain is on its way, and a few more lookups cost little.
            raise unreachable("The picture server's name can't be resolved.") from err
