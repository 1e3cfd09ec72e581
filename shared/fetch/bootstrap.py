"""Builds a fetcher from the settings."""

from shared.fetch.fetcher import Fetcher
from shared.fetch.picture import SMALL_BYTES
from shared.settings import Settings


def build_fetcher(
    settings: Settings,
    *,
    timeout_seconds: float,
    connections: int,
    most_in_memory: int = SMALL_BYTES,
) -> Fetcher:
    """A fetcher by the shop's rules. The other arguments are those of `Fetcher`."""
    return Fetcher(
        settings.image_allowed_networks,
        max_bytes=settings.image_max_bytes,
        timeout_seconds=timeout_seconds,
        connections=connections,
        own_ports=settings.own_ports,
        user_agent=settings.image_user_agent,
        referer=settings.image_referer,
        most_in_memory=most_in_memory,
    )
