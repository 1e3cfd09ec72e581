"""Which network addresses a shop may make us connect to. Pure rules, no I/O.

`ipaddress.is_global` alone won't do: in Python 3.11 it is true for `64:ff9b::a9fe:a9fe` (NAT64 of
169.254.169.254), `::127.0.0.1`, `2002:7f00:1::`, `fec0::1`, `224.0.0.1` and 168.63.129.16.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; many systems take 0.0.0.0 for the machine itself
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata stands at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's wire server, on a public-looking address
        "169.254.0.0/16",  # link-local: cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
"""IANA's special-purpose registry, and the addresses that clouds use besides."""

_GLOBAL_UNICAST_6: Final = IPv6Network("2000::/3")
"""Only 2000::/3 is handed out as global unicast, so everything else (loopback, IPv4-compatible,
link-local, site-local, unique local, multicast, local NAT64) is refused without being named."""
_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, withdrawn: it tunnels to any IPv4 address, private ones too
        "3ffe::/16",  # the old test network
        "3fff::/20",  # documentation
    )
)

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Networks with IPv6 only reach all of the IPv4 internet through this prefix, so the address inside
it decides."""

# ISATAP: under any prefix, an interface of this form is a tunnel to the IPv4 address behind it.
# Two bits of it say whether that address is universal, and whether it is a group's.
_ISATAP: Final = 0x00005EFE
_ISATAP_FREE_BITS: Final = 0x03000000


def is_public(address: Address) -> bool:
    """Whether `address` is a public unicast address, and so is any IPv4 address inside it."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None:
        return False  # a zone names an interface of this machine
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    if address not in _GLOBAL_UNICAST_6 or any(address in net for net in _NOT_PUBLIC_6):
        return False
    tunnel = int.from_bytes(address.packed[8:12], "big") & ~_ISATAP_FREE_BITS == _ISATAP
    return not tunnel or is_public(IPv4Address(address.packed[-4:]))


def is_reachable(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether we may connect to `address`: it is public, or inside one of the `allowed` networks.

    An IPv4-mapped IPv6 address counts as the IPv4 address that the system would connect to.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    return any(address in network for network in allowed) or is_public(address)
