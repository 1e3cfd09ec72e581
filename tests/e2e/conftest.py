"""The whole embedded stack as processes, and a client that speaks to it as a shop would."""

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.settings import Settings
from stack.ports import free_port
from stack.run import Stack
from tests.pictures import PictureServer

SHOP_KEYS = tuple(f"shop-{number}" for number in range(20))
"""Keys of as many tenants; each tenant has its key's name."""


class Shop:
    """A shop's platform: requests to a running stack, each with a timeout."""

    def __init__(self, stack: Stack, key: str) -> None:
        self.stack = stack
        self.key = key
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {key}"

    def call(
        self, method: str, path: str, expected: int = 200, **options: Any
    ) -> Mapping[str, Any]:
        """The JSON answer; its status must be the expected one."""
        url = f"{self.stack.api_url}/api/v1{path}"
        answer = self._session.request(method, url, timeout=60, **options)
        assert answer.status_code == expected, answer.text
        body: Mapping[str, Any] = answer.json()
        return body

    def index(self, product: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.call("POST", "/index-product?wait=30", json=product)

    def search(self, query: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.call("POST", "/search", json=query)

    def finished(self, job_id: str, seconds: float = 120) -> Mapping[str, Any]:
        """The job once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.call("GET", f"/jobs/{job_id}?wait=10")
            if job["finished_at"] is not None:
                return job
        raise AssertionError(f"not finished within {seconds} s: {job}")

    def metric(self, pattern: str) -> float:
        """The sum of the metric's samples whose line begins with the pattern."""
        text = self._session.get(f"{self.stack.api_url}/metrics", timeout=60).text
        found = re.findall(rf"^{pattern}\S* (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def kill(self, process: str) -> None:
        """kill -9 of one process of the stack; its supervisor starts it again."""
        (info,) = (info for info in self.stack.processes() if info["name"] == process)
        os.kill(info["pid"], signal.SIGKILL)

    def close(self) -> None:
        self._session.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data_dir: Path = tmp_path_factory.mktemp("stack")
    keys_file = data_dir / "api-keys"
    keys_file.write_text(
        "".join(f"{key}:{hashlib.sha256(key.encode()).hexdigest()}\n" for key in SHOP_KEYS)
    )
    settings = Settings(
        _env_file=None,
        data_dir=data_dir,
        api_host="127.0.0.1",
        api_port=free_port(),
        api_keys_file=keys_file,
        clip_model="demo",
        clip_backend="torch",  # ready sooner: nothing is converted first
        image_allowed_networks=(ip_network("127.0.0.0/8"),),
        lease_seconds=3.0,
        retry_base_seconds=0.2,
        image_not_found_retry_seconds=0.2,
    )
    with Stack(settings, log_dir=data_dir / "log") as stack:
        stack.wait_until_ready(120)
        yield stack


@pytest.fixture
def shop(stack: Stack, unused_keys: list[str]) -> Iterator[Shop]:
    """A shop of its own for each test, and so an empty catalogue."""
    shop = Shop(stack, unused_keys.pop())
    yield shop
    shop.close()


@pytest.fixture(scope="session")
def unused_keys() -> list[str]:
    return list(SHOP_KEYS)


@pytest.fixture
def pictures() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starting six processes and finishing thousands of products takes longer on a slow machine."""
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.timeout(400))
