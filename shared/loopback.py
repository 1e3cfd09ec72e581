"""The hosts that are this machine and no other, and the rule that others need keys."""

from functools import lru_cache
from ipaddress import ip_address

from shared.settings import Settings


class OpenToTheNetwork(Exception):
    """The API would serve every machine that can reach it."""


@lru_cache(maxsize=64)
def is_loopback(host: str | None) -> bool:
    """Whether a name or an address (IPv6 with or without brackets) can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def check_closed(settings: Settings) -> None:
    """Raises `OpenToTheNetwork` if other machines can reach the API and it asks for no keys."""
    if settings.api_keys_file is None and not is_loopback(settings.api_host):
        raise OpenToTheNetwork(
            f"API_HOST is {settings.api_host} and API_KEYS_FILE is not set: anybody on the network "
            "could change the catalogue. Make a key with `make api-key` and set "
            "API_KEYS_FILE=deploy/api-keys, or set API_HOST to 127.0.0.1."
        )
