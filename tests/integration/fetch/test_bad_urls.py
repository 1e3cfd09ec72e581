"""URLs that must not be fetched, as shops or attackers might send them: no connection is tried."""

import sys
from collections.abc import Iterator

import pytest

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.fetcher import Fetcher
from tests.integration.fetch.picture_server import LOOPBACK

BLOCKED = ItemCode.IMAGE_BLOCKED_ADDRESS
INVALID = ItemCode.INVALID_URL

URLS = {
    "http://127.0.0.1:6379/": BLOCKED,
    "http://localhost:6333/": BLOCKED,
    "http://127.0.0.1/": BLOCKED,
    "http://localhost/": BLOCKED,
    "http://LOCALHOST./": BLOCKED,
    "http://2130706433/": BLOCKED,
    "http://0x7f000001/": BLOCKED,
    "http://0x7f.1/": BLOCKED,
    "http://0177.0.0.1/": BLOCKED,
    "http://127.1/": BLOCKED,
    "http://0/": BLOCKED,
    "http://0.0.0.0/": BLOCKED,
    "http://[::1]/": BLOCKED,
    "http://[::]/": BLOCKED,
    "http://[::ffff:169.254.169.254]/": BLOCKED,
    "http://[::ffff:7f00:1]/": BLOCKED,
    "http://[::127.0.0.1]/": BLOCKED,
    "http://[64:ff9b::a9fe:a9fe]/": BLOCKED,
    "http://[64:ff9b:1::a00:1]/": BLOCKED,
    "http://[2002:7f00:1::]/": BLOCKED,
    "http://[2001::1]/": BLOCKED,
    "http://[fec0::1]/": BLOCKED,
    "http://[fe80::1]/": BLOCKED,
    "http://[fe80::1%25eth0]/": INVALID,
    "http://[fd00:ec2::254]/": BLOCKED,
    "http://[ff02::1]/": BLOCKED,
    "http://169.254.169.254/latest/meta-data/": BLOCKED,
    "http://100.100.100.200/": BLOCKED,
    "http://168.63.129.16/": BLOCKED,
    "http://192.0.0.192/": BLOCKED,
    "http://224.0.0.1/": BLOCKED,
    "http://255.255.255.255/": BLOCKED,
    "http://10.0.0.1/": BLOCKED,
    "http://172.16.0.1/": BLOCKED,
    "http://192.168.0.1/": BLOCKED,
    "http://１２７.０.０.１/": BLOCKED,
    "http://127。0。0。1/": BLOCKED,
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/": BLOCKED,
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/": BLOCKED,
    "http://loc\u00adalhost/": BLOCKED,
    "http://[::ffff:2130706433]/": INVALID,
    "http://good.example[::1]/": INVALID,
    "http://[::1].good.example/": INVALID,
    "http://127%2e0%2e0%2e1/": BLOCKED,
    "http://١٢٧.٠.٠.١/": INVALID,
    "http:127.0.0.1/": BLOCKED,
    "https://good@127.0.0.1/": INVALID,
    "https://good:word@127.0.0.1/": INVALID,
    "https://127.0.0.1\\@good.example/": BLOCKED,
    "http://127.0.0.1#@good.example/": BLOCKED,
    "file:///etc/passwd": INVALID,
    "FILE:///etc/passwd": INVALID,
    "gopher://127.0.0.1:6379/_INFO": INVALID,
    "dict://127.0.0.1:6379/INFO": INVALID,
    "ftp://127.0.0.1/": INVALID,
    "data:image/png;base64,iVBORw0KGgo=": INVALID,
    "javascript:alert(1)": INVALID,
    "//127.0.0.1/": INVALID,
    "http:///127.0.0.1/": BLOCKED,
    "http:///etc/passwd": BLOCKED,
    "http://": INVALID,
    "": INVALID,
    "http://93.184.216.34:22/": BLOCKED,
    "http://93.184.216.34:0/": BLOCKED,
    "http://93.184.216.34:6379/": BLOCKED,
    "http://93.184.216.34:65536/": INVALID,
    "http://93.184.216.34:-1/": INVALID,
    "http://good.example/" + "x" * 10_240: INVALID,
    "http://" + "a" * 300 + ".example/": INVALID,
    "http://good.example/\r\nHost: 127.0.0.1": INVALID,
    "http://good.example/\r\n\r\nGET / HTTP/1.1": INVALID,
    "http://good.example/\tx": INVALID,
    "http://good.example/\0": INVALID,
    "http://good.exa\r\nmple/": INVALID,
}

_connected: list[object] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and _connected is not None:
        _connected.append(arguments[1])


# Hooks can't be taken away again; this one does nothing while nobody asks.
sys.addaudithook(_note)


@pytest.fixture
def connected() -> Iterator[list[object]]:
    """Where this process has tried to connect to."""
    global _connected  # noqa: PLW0603 - the hook has no other way to it
    _connected = []
    yield _connected
    _connected = None


@pytest.mark.parametrize(("url", "code"), URLS.items(), ids=[repr(url)[:50] for url in URLS])
def test_no_connection_is_tried(url: str, code: ItemCode, connected: list[object]) -> None:
    fetcher = Fetcher((), max_bytes=1_000, timeout_seconds=2)
    with pytest.raises(ItemPermanent) as refused:
        fetcher.fetch(url)
    fetcher.close()
    assert refused.value.code is code
    assert connected == []


def test_the_hook_notices_connections(connected: list[object]) -> None:
    fetcher = Fetcher(LOOPBACK, max_bytes=1_000, timeout_seconds=2)
    with pytest.raises(Exception, match="can't be reached"):
        fetcher.fetch("http://127.0.0.1:1999/")
    fetcher.close()
    assert connected == [("127.0.0.1", 1999)]
