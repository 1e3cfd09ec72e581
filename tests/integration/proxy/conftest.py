"""A real nginx with deploy/nginx.conf in front of real API processes."""

import http.client
import json
import os
import shutil
import socket
import string
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from stack.ports import free_port
from tests.integration.api.gunicorn_process import ROOT, serving
from tests.servers import EmbeddedQdrantProcess, RedisServer

THREADS = 4
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture(scope="session", autouse=True)
def _nginx_is_there() -> None:
    if NGINX is None:
        assert "CI" not in os.environ, "CI runs these tests: install nginx-light"
        pytest.skip("LEFT OUT: nginx is not installed (apt install nginx-light)")


@contextmanager
def proxy(folder: Path, ports: Sequence[int]) -> Iterator[int]:
    """The port of an nginx in front of the API processes at these ports."""
    port = free_port()
    text = string.Template((ROOT / "deploy/nginx.conf").read_text()).safe_substitute(
        LISTEN=f"127.0.0.1:{port}",
        API_SERVERS=" ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports),
        RESOLVER="127.0.0.1",
    )
    # Several may run at a time here, a container has one.
    conf = folder / "nginx.conf"
    conf.write_text(text.replace("/tmp/nginx", f"{folder}/nginx"))  # noqa: S108
    process = subprocess.Popen([str(NGINX), "-c", str(conf), "-g", "daemon off;"])
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def api_settings(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> dict[str, str]:
    return {
        "API_THREADS": str(THREADS),
        "REDIS_URL": ledger_server.url,
        "REDIS_CACHE_URL": cache_server.url,
        "QDRANT_URL": qdrant_server.url,
    }


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, api_settings: dict[str, str]) -> Iterator[int]:
    """The port of the proxy before one API process."""
    with (
        serving(**api_settings) as api,
        proxy(tmp_path_factory.mktemp("nginx"), [api]) as port,
    ):
        yield port


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection(("127.0.0.1", port), 30))


def search(port: int, number: int) -> float:
    """Seconds that a search takes, on a connection of its own."""
    started = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        body = json.dumps({"text_query": f"red shirt {number}"})
        connection.request("POST", "/api/v1/search", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
    return time.monotonic() - started
