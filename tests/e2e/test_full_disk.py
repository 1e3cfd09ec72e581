"""A disk that is really full: searches go on, writes are refused, and all heals by itself."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
import requests

from shared.settings import Settings
from stack.ports import free_port
from stack.run import Stack
from tests.pictures import PictureServer, picture

pytestmark = pytest.mark.slow

_DISK_BYTES = 256 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own. ext4, because in a tmpfs also what is read takes room."""
    image, mounted = tmp_path / "image", tmp_path / "disk"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    subprocess.run(["/sbin/mkfs.ext4", "-q", image], check=True)
    told = subprocess.run(
        ["/bin/mount", "-o", "loop", image, mounted], capture_output=True, text=True, check=False
    )
    if told.returncode:
        pytest.skip(f"LEFT OUT: a disk to fill can't be mounted here: {told.stderr.strip()}")
    yield mounted
    # Lazily: a process that hangs must not hide why.
    subprocess.run(["/bin/umount", "--lazy", mounted], check=True)


class Client:
    """A shop and its shoppers, against a stack whose disk is full."""

    def __init__(self, stack: Stack, pictures: PictureServer) -> None:
        self._stack = stack
        self._pictures = pictures
        self._asked = 0

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        url = f"{self._stack.api_url}{path}"
        return requests.request(method, url, timeout=60, **options)  # type: ignore[arg-type]

    def index(self, name: str, wait: int = 20) -> requests.Response:
        url = self._pictures.add(f"/{name}.jpg", picture((len(self._pictures.files) * 9, 99, 99)))
        product = {"id": name, "name": name, "image_url": url, "price": 5}
        return self.call("POST", f"/api/v1/index-product?wait={wait}", json=product)

    def search_in_every_way(self) -> None:
        self._asked += 1
        new = {"text_query": f"shirt number {self._asked}"}
        for body in (new, new, {"text_query": "red", "price_max": 9}, {"product_id": "old-1"}):
            answer = self.call("POST", "/api/v1/search", json=body)
            assert answer.status_code == 200, f"{body}: {answer.text}"
            assert answer.json()["results"], answer.text
        uploaded = self.call("POST", "/api/v1/search", files={"image": picture((9, 9, 9))})
        assert uploaded.status_code == 200, uploaded.text
        for path in ("/products/old-1", "/products?limit=2", "/similar?product_id=old-1"):
            assert self.call("GET", f"/api/v1{path}").status_code == 200
        assert "http_requests_total" in self.call("GET", "/metrics").text

    def is_refused_in_every_way(self) -> None:
        product = {"id": "new", "name": "New", "image_url": f"{self._pictures.url}/old-1.jpg"}
        for method, path, body in (
            ("POST", "/index-product", product),
            ("POST", "/index-product?wait=5", product),
            ("POST", "/index-products", {"products": [product]}),
            ("PATCH", "/products/old-1", {"price": 6}),
            ("DELETE", "/products/old-1", None),
        ):
            answer = self.call(method, f"/api/v1{path}", json=body)
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) >= 1

    def again(self, process: str) -> None:
        """kill -9 of a process and its own; returns once another one answers in its place."""
        before = self._pid(process)
        os.killpg(before, signal.SIGKILL)
        deadline = time.monotonic() + 150
        while self._pid(process) in (0, before) or not self._serves():
            assert time.monotonic() < deadline, f"{process} does not come back"
            time.sleep(0.2)

    def _serves(self) -> bool:
        """Whether a search and a look into the index succeed: of a search the cache may know."""
        try:
            answers = [
                self.call("POST", "/api/v1/search", json={"product_id": "old-1"}),
                self.call("GET", "/api/v1/products/old-1"),
            ]
        except (requests.ConnectionError, requests.Timeout):
            return False  # gone, or still loading the model
        return all(answer.status_code == 200 for answer in answers)

    def _pid(self, name: str) -> int:
        return sum(each["pid"] for each in self._stack.processes() if each["name"] == name)


def _fill(disk: Path) -> Path:
    """To the last byte."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    assert shutil.disk_usage(disk).free == 0
    return ballast


def test_a_full_disk_ends_writes_alone_and_nothing_accepted_is_lost(
    disk: Path, tmp_path: Path
) -> None:
    settings = Settings(
        _env_file=None,
        data_dir=disk / "data",
        api_port=free_port(),
        clip_model="demo",
        clip_backend="torch",
        image_allowed_networks=(ip_network("127.0.0.0/8"),),
        lease_seconds=3.0,
        retry_base_seconds=0.2,
    )
    with Stack(settings, log_dir=tmp_path / "log") as stack, PictureServer() as pictures:
        stack.wait_until_ready(120)
        shop = Client(stack, pictures)
        for number in range(4):
            assert shop.index(f"old-{number}").status_code == 200
        # Accepted, and waiting while the disk fills.
        pictures.delays["/late.jpg"] = late = threading.Event()
        accepted = shop.index("late", wait=0)
        assert accepted.status_code == 202

        ballast = _fill(disk)
        late.set()
        for _ in range(2):
            shop.search_in_every_way()
            shop.is_refused_in_every_way()
        for process in ("api", "qdrant", "redis", "redis-cache"):
            shop.again(process)
            shop.search_in_every_way()
        _fill(disk)  # what the embedded Qdrant has given up for its start
        shop.is_refused_in_every_way()
        stack.check()

        ballast.unlink()
        deadline = time.monotonic() + 60
        while (answer := shop.index("healed")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.5)
        status = accepted.json()["status_url"]
        while (job := shop.call("GET", f"{status}?wait=5").json())["finished_at"] is None:
            assert time.monotonic() < deadline, job
        assert job["state"] == "succeeded"
        for name in ("old-0", "old-1", "late", "healed"):
            assert shop.call("GET", f"/api/v1/products/{name}").json()["price"] == 5
