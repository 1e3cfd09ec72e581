"""Which hosts are this machine and no other."""

from functools import lru_cache
from ipaddress import ip_address


@lru_cache(maxsize=64)
def is_loopback(host: str | None) -> bool:
    """Whether a name or an address (IPv6 with or without brackets) can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False
