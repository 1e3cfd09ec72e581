"""How a query's picture is fetched. Apart from `bootstrap`, which imports the model's libraries."""

from collections.abc import Callable

from shared.fetch.fetcher import Fetcher
from shared.settings import Settings


def picture_fetch(settings: Settings) -> Callable[[str], bytes]:
    """By the workers' rules, within a search's time."""
    fetcher = Fetcher(
        settings.image_allowed_networks,
        max_bytes=settings.image_max_bytes,
        timeout_seconds=min(settings.image_timeout_seconds, settings.search_timeout_seconds),
        connections=settings.api_picture_queries,
        own_ports=settings.own_ports,
        user_agent=settings.image_user_agent,
        referer=settings.image_referer,
        # These few are decoded at once. So a full disk stops no search.
        most_in_memory=settings.image_max_bytes,
    )

    def fetch(url: str) -> bytes:
        with fetcher.fetch(url) as picture:
            return picture.data

    return fetch
