"""Which addresses may be reached: public unicast only, however an address is dressed up."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fetch.addresses import is_public, is_reachable

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "2606:4700::1111%1",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::5efe:127.0.0.1",
    "2606:4700::200:5efe:169.254.169.254",
    "2606:4700::100:5efe:192.168.0.1",
    "2606:4700::300:5efe:172.16.0.1",
    "fe80::5efe:8.8.8.8",
    "ff02::1",
    "ff0e::1",
    "ffff::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "168.63.129.15",
    "168.63.129.17",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2606:4700::5efe:8.8.8.8",
    "2606:4700::200:5efe:8.8.8.8",
    "2606:4700::400:5efe:10.0.0.1",
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_is_not_public_unicast_is_refused(text: str) -> None:
    assert not is_reachable(ip_address(text), ())


@pytest.mark.parametrize("text", PUBLIC)
def test_public_unicast_is_reachable(text: str) -> None:
    assert is_reachable(ip_address(text), ())


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "fd12::7"])
def test_an_allowed_network_is_reachable_however_its_addresses_are_written(text: str) -> None:
    allowed = (ip_network("10.0.0.0/8"), ip_network("fd12::/16"))
    assert is_reachable(ip_address(text), allowed)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "192.168.0.1", "::1", "fe80::1%eth0", "64:ff9b::a01:203"]
)
def test_an_allowed_network_opens_nothing_else(text: str) -> None:
    assert not is_reachable(ip_address(text), (ip_network("10.0.0.0/8"), ip_network("fe80::/10")))


ipv4_addresses = st.ip_addresses(v=4)


@given(ipv4_addresses)
def test_mapped_and_nat64_addresses_are_as_public_as_the_ipv4_address_inside(
    inside: IPv4Address,
) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::", "2606:4700::5efe:0:0", "2606:4700::200:5efe:0:0"):
        embedded = IPv6Address(int(IPv6Address(prefix)) | int(inside))
        assert is_public(embedded) == is_public(inside)


@given(ipv4_addresses, st.integers(0, 2**16 - 1))
def test_tunnels_and_withdrawn_forms_are_refused_whatever_is_inside(
    inside: IPv4Address, rest: int
) -> None:
    value = int(inside)
    compatible = IPv6Address(value)
    six_to_four = IPv6Address((0x2002 << 112) | (value << 80) | rest)
    teredo = IPv6Address((0x20010000 << 96) | (rest << 64) | (value ^ 0xFFFFFFFF))
    local_nat64 = IPv6Address(int(IPv6Address("64:ff9b:1::")) | (rest << 32) | value)
    for address in (compatible, six_to_four, teredo, local_nat64):
        assert not is_public(address)


@given(ipv4_addresses)
def test_nothing_is_public_that_python_calls_private_multicast_or_reserved(
    address: IPv4Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        assert not is_public(address)
