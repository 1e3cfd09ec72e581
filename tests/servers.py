"""The real servers that tests run against, started and killed as processes."""

import http.client
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import httpx
import redis

from shared.qdrant.service import QdrantService
from stack.ports import free_port
from stack.redis import server_command

DIMENSIONS: Final = 512
"""Numbers in a vector of the tests' collections, as of the demo model."""


class RedisServer:
    """A Redis-compatible server as the embedded stack starts it. `role`: ledger or cache."""

    def __init__(self, data_dir: Path, role: str = "ledger") -> None:
        self._data_dir = data_dir
        self._role = role
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it on the data it left, and returns once it answers."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(server_command(self._role, self.port, self._data_dir))
        client = redis.Redis.from_url(self.url)
        deadline = time.monotonic() + 60
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        client.close()

    def kill9(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None


class EmbeddedQdrantProcess:
    """The embedded Qdrant server as the stack starts it."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self._data_dir = data_dir
        self._arguments = arguments
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: QdrantService | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it on the data it left, and returns once it answers."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "stack.qdrant"),
                *("--port", str(self.port), "--data", str(self._data_dir), *self._arguments),
            ]
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("the embedded Qdrant did not start")
            time.sleep(0.05)

    def empty_collection(self) -> QdrantService:
        """A service on an empty collection: always the same one, for making one takes a second."""
        return self._emptied(QdrantService(self.url, "products-test", dimensions=DIMENSIONS))

    def kept_collection(self) -> QdrantService:
        """Likewise, and the service is the same one, too: a client takes 50 ms of processor time to
        make. It is closed with the server.
        """
        if self._kept is None:
            self._kept = QdrantService(self.url, "products-test", dimensions=DIMENSIONS)
        return self._emptied(self._kept)

    def _emptied(self, service: QdrantService) -> QdrantService:
        service.ensure_collection(["color"])
        everything = {"filter": {}}
        path = f"/collections/{service.collection}/points/delete?wait=true"
        # Without the certificates of all authorities, which take 20 ms to read.
        answer = httpx.post(self.url + path, json=everything, timeout=60, verify=False)  # noqa: S501
        answer.raise_for_status()
        return service

    def kill9(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, SIGSTOP to freeze it for instance."""
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _end(self, number: signal.Signals) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None
