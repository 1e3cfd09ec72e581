"""No way leads to an address that was not checked: a canary there sees no connection."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_network

import pytest

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.addresses import Address, Network
from shared.fetch.fetcher import Fetcher
from tests.integration.fetch.picture_server import ScriptedServer, StubResolver, reply, sends

Serve = Callable[..., ScriptedServer]

# The shop's server listens on 127.0.0.1; 127.0.0.2 stands for what must stay out of reach.
SHOP = (ip_network("127.0.0.1/32"),)


class Canary:
    """Listens on another loopback address, at the shop server's port, and counts connections."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.2", port))
        self._listener.settimeout(0.05)

    def connections(self) -> int:
        count = 0
        while True:
            try:
                self._listener.accept()[0].close()
            except TimeoutError:
                return count
            count += 1

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def shop(serve: Serve) -> ScriptedServer:
    """Sends `/to?URL` on to URL, and a picture for everything else."""

    def script(connection: socket.socket, path: str, _head: str) -> None:
        if path.startswith("/to?"):
            connection.sendall(reply(b"", f"Location: {path[4:]}", status="302 Found"))
        else:
            connection.sendall(reply(b"picture"))

    return serve(script)


@pytest.fixture
def canary(shop: ScriptedServer) -> Iterator[Canary]:
    made = Canary(shop.port)
    yield made
    made.close()


def shop_fetcher(resolver: StubResolver | None = None, seconds: float = 5) -> Fetcher:
    return Fetcher(SHOP, max_bytes=1_000, timeout_seconds=seconds, resolver=resolver)


def refused(fetcher: Fetcher, url: str) -> ItemPermanent:
    with pytest.raises(ItemPermanent) as raised:
        fetcher.fetch(url)
    fetcher.close()
    return raised.value


@pytest.mark.parametrize("host", ["127.0.0.2", "[::ffff:127.0.0.2]", "[64:ff9b::7f00:2]"])
def test_a_blocked_address_sees_no_connection(
    shop: ScriptedServer, canary: Canary, host: str
) -> None:
    fault = refused(shop_fetcher(), f"http://{host}:{shop.port}/")
    assert fault.code == ItemCode.IMAGE_BLOCKED_ADDRESS
    assert "127" not in fault.message
    assert canary.connections() == 0


def test_localhost_is_refused_by_what_it_resolves_to(serve: Serve) -> None:
    server = serve(sends(reply(b"picture")))
    fetcher = Fetcher((), max_bytes=1_000, timeout_seconds=5)
    assert (
        refused(fetcher, f"http://localhost:{server.port}/").code == ItemCode.IMAGE_BLOCKED_ADDRESS
    )
    assert server.connections == 0


def test_a_redirect_to_a_blocked_address_is_not_followed(
    shop: ScriptedServer, canary: Canary
) -> None:
    fault = refused(shop_fetcher(), shop.url(f"/to?http://127.0.0.2:{shop.port}/"))
    assert fault.code == ItemCode.IMAGE_BLOCKED_ADDRESS
    assert canary.connections() == 0


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("file:///etc/passwd", ItemCode.INVALID_URL),
        ("http://127.0.0.1:22/", ItemCode.IMAGE_BLOCKED_ADDRESS),
        ("http://0xa000001/", ItemCode.IMAGE_BLOCKED_ADDRESS),
        ("http://good@127.0.0.1/", ItemCode.INVALID_URL),
    ],
)
def test_a_redirect_is_checked_anew(shop: ScriptedServer, location: str, code: ItemCode) -> None:
    assert refused(shop_fetcher(), shop.url(f"/to?{location}")).code == code


def test_a_redirect_loop_ends(serve: Serve) -> None:
    server = serve(sends(reply(b"", "Location: /loop", status="301 Moved")))
    assert refused(shop_fetcher(), server.url("/loop")).code == ItemCode.IMAGE_HTTP_ERROR
    assert len(server.requests) == 6


@pytest.mark.parametrize("location", ["/b.jpg", "b.jpg", "//127.0.0.1:{port}/b.jpg"])
def test_a_relative_redirect_is_followed(shop: ScriptedServer, location: str) -> None:
    fetcher = shop_fetcher()
    url = shop.url("/to?" + location.format(port=shop.port))
    assert fetcher.fetch(url).data == b"picture"
    fetcher.close()
    assert shop.requests[-1].startswith("GET /b.jpg ")


def test_a_name_with_one_blocked_address_among_others_is_refused(
    shop: ScriptedServer, canary: Canary
) -> None:
    for addresses in (["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]):
        resolver = StubResolver(shop_example=[addresses])
        fault = refused(shop_fetcher(resolver), f"http://shop.example:{shop.port}/")
        assert fault.code == ItemCode.IMAGE_BLOCKED_ADDRESS
    assert canary.connections() == 0
    assert shop.connections == 0


def test_the_checked_address_is_the_one_connected_to(shop: ScriptedServer, canary: Canary) -> None:
    # DNS gives a good address first and a blocked one to whoever asks again.
    resolver = StubResolver(shop_example=[["127.0.0.1"], ["127.0.0.2"]])
    fetcher = shop_fetcher(resolver)
    url = f"http://shop.example:{shop.port}/a.jpg"
    assert fetcher.fetch(url).data == b"picture"
    assert resolver.questions == ["shop.example"]
    assert shop.connections == 1
    assert f"Host: shop.example:{shop.port}\r\n" in shop.requests[0]

    # The second picture is asked for anew and refused, although a kept connection stands open.
    assert refused(fetcher, url).code == ItemCode.IMAGE_BLOCKED_ADDRESS
    assert canary.connections() == 0


def test_a_redirect_to_the_same_name_is_resolved_and_checked_anew(
    shop: ScriptedServer, canary: Canary
) -> None:
    resolver = StubResolver(shop_example=[["127.0.0.1"], ["127.0.0.2"]])
    fault = refused(shop_fetcher(resolver), f"http://shop.example:{shop.port}/to?/b.jpg")
    assert fault.code == ItemCode.IMAGE_BLOCKED_ADDRESS
    assert canary.connections() == 0


def test_a_public_name_that_turns_private_never_reaches_us(serve: Serve) -> None:
    # 192.0.2.1 would not do as the public address: documentation networks are refused, too.
    server = serve(sends(reply(b"picture")))
    resolver = StubResolver(shop_example=[["127.0.0.1"]])
    fetcher = Fetcher((), max_bytes=1_000, timeout_seconds=5, resolver=resolver)
    fault = refused(fetcher, f"http://shop.example:{server.port}/")
    assert fault.code == ItemCode.IMAGE_BLOCKED_ADDRESS
    assert server.connections == 0


def test_proxies_of_the_environment_are_ignored(
    shop: ScriptedServer, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://127.0.0.2:{shop.port}"
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    fetcher = shop_fetcher()
    assert fetcher.fetch(shop.url()).data == b"picture"
    fetcher.close()
    assert canary.connections() == 0


def test_the_next_address_is_tried_where_the_first_refuses(serve: Serve) -> None:
    server = serve(sends(reply(b"picture")))
    resolver = StubResolver(shop_example=[["127.0.0.3", "127.0.0.1"]])
    fetcher = Fetcher(
        (ip_network("127.0.0.0/8"),), max_bytes=100, timeout_seconds=5, resolver=resolver
    )
    assert fetcher.fetch(f"http://shop.example:{server.port}/").data == b"picture"
    fetcher.close()


def test_an_unknown_name_may_pass() -> None:
    fetcher = shop_fetcher(StubResolver())
    with pytest.raises(ItemTransient) as raised:
        fetcher.fetch("http://nowhere.example/")
    fetcher.close()
    assert raised.value.code == ItemCode.IMAGE_UNREACHABLE


def test_a_slow_lookup_ends_at_the_deadline() -> None:
    release = threading.Event()

    class SlowResolver(StubResolver):
        def resolve(self, host: str) -> Sequence[Address]:
            release.wait(timeout=60)
            return super().resolve(host)

    fetcher = shop_fetcher(SlowResolver(), seconds=0.3)
    started = time.monotonic()
    with pytest.raises(ItemTransient) as raised:
        fetcher.fetch("http://slow.example/")
    assert time.monotonic() - started < 30
    assert raised.value.code == ItemCode.IMAGE_TIMEOUT
    release.set()
    fetcher.close()


def test_our_own_servers_ports_are_never_fetched_from(serve: Serve) -> None:
    """On whatever address and by whatever name, in allowed networks too."""
    own = serve(sends(reply(b"ours")))
    shop = serve(sends(reply(b"", f"Location: {own.url()}", status="302 Found")))
    resolver = StubResolver(shop_example=[["127.0.0.1"]])
    fetcher = Fetcher(
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        max_bytes=1_000,
        timeout_seconds=5,
        resolver=resolver,
        own_ports=(own.port,),
    )
    hosts = ("127.0.0.1", "127.0.0.2", "localhost", "shop.example", "[::1]", "[::ffff:127.0.0.1]")
    for url in [*(f"http://{host}:{own.port}/" for host in hosts), shop.url()]:
        with pytest.raises(ItemPermanent) as raised:
            fetcher.fetch(url)
        assert raised.value.code == ItemCode.IMAGE_BLOCKED_ADDRESS
    fetcher.close()
    assert own.connections == 0
    assert shop.connections == 1


class SlowResolver(StubResolver):
    """Takes its time where there is no such name, as some do."""

    def resolve(self, host: str) -> Sequence[Address]:
        try:
            return super().resolve(host)
        except OSError:
            time.sleep(0.3)
            raise


@pytest.mark.parametrize("suffix", ["", ".local", ".internal", ".corp", ".home.arpa", ".ns.svc"])
@pytest.mark.parametrize("allowed", [(), SHOP])
def test_a_name_of_our_own_is_answered_in_one_way_whether_it_exists_or_not(
    suffix: str, allowed: Sequence[Network]
) -> None:
    there, nowhere = f"there{suffix}", f"nowhere{suffix}"
    resolver = SlowResolver(**{there.replace(".", "_"): [["127.0.0.2"]]})
    fetcher = Fetcher(allowed, max_bytes=100, timeout_seconds=2, resolver=resolver)
    told = []
    for host in (there, nowhere):
        with pytest.raises((ItemPermanent, ItemTransient)) as raised:
            fetcher.fetch(f"http://{host}/")
        told.append((type(raised.value), raised.value.code, str(raised.value)))
    fetcher.close()
    assert told[0] == told[1]
    assert told[0][:2] == (
        ItemTransient if allowed else ItemPermanent,
        ItemCode.IMAGE_BLOCKED_ADDRESS,
    )
    assert resolver.questions == ([there, nowhere] if allowed else [])


def test_an_allowed_name_of_our_own_is_fetched_from(shop: ScriptedServer) -> None:
    fetcher = shop_fetcher(StubResolver(pictures_local=[["127.0.0.1"]]))
    assert fetcher.fetch(f"http://pictures.local:{shop.port}/").data == b"picture"
    fetcher.close()
