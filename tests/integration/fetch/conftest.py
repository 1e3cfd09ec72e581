"""Scripted picture servers, and a fetcher that may reach them."""

import contextlib
import ssl
from collections.abc import Callable, Iterator

import pytest

from shared.fetch.fetcher import Fetcher
from tests.integration.fetch.picture_server import LOOPBACK, Script, ScriptedServer


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts scripted servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(script: Script, tls: ssl.SSLContext | None = None) -> ScriptedServer:
            server = ScriptedServer(script, tls)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    """Small bounds, loopback allowed."""
    made = Fetcher(LOOPBACK, max_bytes=100_000, timeout_seconds=60, connections=4)
    yield made
    made.close()
