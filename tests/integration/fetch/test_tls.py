"""Certificates are checked against the URL's name, though the connection goes to an address."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.fetcher import Fetcher
from tests.integration.fetch.picture_server import (
    LOOPBACK,
    ScriptedServer,
    StubResolver,
    reply,
    sends,
)

Serve = Callable[..., ScriptedServer]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def fetcher(authority: trustme.CA, tmp_path: Path) -> Iterator[Fetcher]:
    """Trusts the test's authority only; shop.example and www.shop.example are on loopback."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    resolver = StubResolver(shop_example=[["127.0.0.1"]], www_shop_example=[["127.0.0.1"]])
    made = Fetcher(
        LOOPBACK, max_bytes=100_000, timeout_seconds=60, resolver=resolver, ca_file=str(ca_file)
    )
    yield made
    made.close()


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def test_a_valid_certificate_is_accepted_and_the_name_sent(
    serve: Serve, fetcher: Fetcher, authority: trustme.CA
) -> None:
    context = server_context(authority.issue_cert("shop.example"))
    names: list[str] = []
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    server = serve(sends(reply(b"picture")), context)
    for _ in range(3):
        assert fetcher.fetch(f"https://shop.example:{server.port}/").data == b"picture"
    assert names == ["shop.example"]
    assert server.connections == 1


def test_a_certificate_for_an_address_is_accepted(
    serve: Serve, fetcher: Fetcher, authority: trustme.CA
) -> None:
    server = serve(sends(reply(b"picture")), server_context(authority.issue_cert("127.0.0.1")))
    assert fetcher.fetch(f"https://127.0.0.1:{server.port}/").data == b"picture"


def refused(fetcher: Fetcher, url: str) -> ItemPermanent:
    with pytest.raises(ItemPermanent) as raised:
        fetcher.fetch(url)
    assert raised.value.code == ItemCode.IMAGE_UNREACHABLE
    assert "certificate" in raised.value.message
    return raised.value


def test_a_certificate_for_another_name_or_only_the_address_is_refused(
    serve: Serve, fetcher: Fetcher, authority: trustme.CA
) -> None:
    for name in ("www.shop.example", "127.0.0.1"):
        server = serve(sends(reply(b"picture")), server_context(authority.issue_cert(name)))
        fault = refused(fetcher, f"https://shop.example:{server.port}/")
        assert "another name" in fault.message
        assert server.requests == []


def test_an_expired_certificate_is_refused(
    serve: Serve, fetcher: Fetcher, authority: trustme.CA
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificate = authority.issue_cert(
        "shop.example", not_before=yesterday - timedelta(days=90), not_after=yesterday
    )
    server = serve(sends(reply(b"picture")), server_context(certificate))
    assert "has expired" in refused(fetcher, f"https://shop.example:{server.port}/").message


def test_a_certificate_of_tomorrow_is_refused(
    serve: Serve, fetcher: Fetcher, authority: trustme.CA
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    certificate = authority.issue_cert(
        "shop.example", not_before=tomorrow, not_after=tomorrow + timedelta(days=90)
    )
    server = serve(sends(reply(b"picture")), server_context(certificate))
    assert "not valid yet" in refused(fetcher, f"https://shop.example:{server.port}/").message


def test_a_missing_intermediate_certificate_is_asked_for(
    serve: Serve, fetcher: Fetcher, authority: trustme.CA
) -> None:
    certificate = authority.create_child_ca().issue_cert("shop.example")
    whole = serve(sends(reply(b"picture")), server_context(certificate))
    assert fetcher.fetch(f"https://shop.example:{whole.port}/").data == b"picture"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with (
        certificate.private_key_pem.tempfile() as key,
        certificate.cert_chain_pems[0].tempfile() as leaf,
    ):
        context.load_cert_chain(leaf, key)
    server = serve(sends(reply(b"picture")), context)
    message = refused(fetcher, f"https://shop.example:{server.port}/").message
    assert "intermediate certificate" in message
    assert "expired" not in message


def test_a_private_authority_is_named_as_one(serve: Serve, fetcher: Fetcher) -> None:
    own = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as self_signed:
        context.load_cert_chain(self_signed, key)
    server = serve(sends(reply(b"picture")), context)
    assert "signed by itself" in refused(fetcher, f"https://shop.example:{server.port}/").message


def test_an_unknown_authority_is_refused(serve: Serve, authority: trustme.CA) -> None:
    server = serve(sends(reply(b"picture")), server_context(authority.issue_cert("127.0.0.1")))
    with_certifi = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=60)
    refused(with_certifi, f"https://127.0.0.1:{server.port}/")
    with_certifi.close()


def test_a_handshake_that_never_ends_is_left_at_the_deadline(serve: Serve) -> None:
    # A server without TLS: the client's hello holds no end of a head, so it waits for one.
    server = serve(sends(reply(b"picture")))
    fetcher = Fetcher(LOOPBACK, max_bytes=100, timeout_seconds=0.4)
    started = time.monotonic()
    with pytest.raises(ItemTransient) as raised:
        fetcher.fetch(f"https://127.0.0.1:{server.port}/")
    assert time.monotonic() - started < 30
    assert raised.value.code == ItemCode.IMAGE_TIMEOUT
    fetcher.close()


def test_a_broken_handshake_may_pass(fetcher: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ItemTransient) as raised:
            fetcher.fetch(f"https://shop.example:{listener.getsockname()[1]}/")
        thread.join()
    assert raised.value.code == ItemCode.IMAGE_UNREACHABLE


def test_a_tls_server_that_drips_is_left_at_the_deadline(
    serve: Serve, authority: trustme.CA, tmp_path: Path
) -> None:
    def script(connection: socket.socket, _path: str, _head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.1)

    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    server = serve(script, server_context(authority.issue_cert("127.0.0.1")))
    fetcher = Fetcher(LOOPBACK, max_bytes=100_000, timeout_seconds=0.6, ca_file=str(ca_file))
    started = time.monotonic()
    with pytest.raises(ItemTransient) as raised:
        fetcher.fetch(f"https://127.0.0.1:{server.port}/")
    assert time.monotonic() - started < 30
    assert raised.value.code == ItemCode.IMAGE_TIMEOUT
    fetcher.close()
