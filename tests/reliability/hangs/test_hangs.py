"""Whatever hangs a process is ended, and counts against the product whose turn it was.

Real processes, in which steps that never end are planted; the watchdog's bounds are seconds.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture
from tests.reliability.faults.conftest import SHOP_KEYS, settings_of
from tests.reliability.faults.stack import FaultyStack, eventually
from tests.reliability.hangs.planted import DECODING_WITH_LOCK, DECODING_WITHOUT_LOCK, PLANTED

pytestmark = pytest.mark.slow

_APPS = {
    "worker.app": "tests.reliability.hangs.hanging_worker",
    "api.wsgi:app": "tests.reliability.hangs.hanging_api:app",
}
_NEIGHBOURS = 10
_MAX_ATTEMPTS = 1
_BOUND_SECONDS = 5.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyStack]:
    data_dir = tmp_path_factory.mktemp("hangs")
    settings = settings_of(
        data_dir,
        item_max_attempts=_MAX_ATTEMPTS,
        watchdog_decode_seconds=_BOUND_SECONDS,
        watchdog_forward_seconds=_BOUND_SECONDS,
    )
    with FaultyStack(settings, log_dir=data_dir / "log", apps=_APPS) as stack:
        stack.wait_until_ready(120)
        yield stack


@pytest.fixture
def shop(stack: FaultyStack, unused_keys: list[str]) -> Iterator[Shop]:
    """A shop of its own for each test, and so an empty catalogue."""
    shop = Shop(stack, unused_keys.pop())
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def unused_keys() -> list[str]:
    return list(SHOP_KEYS)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def log(stack: FaultyStack, process: str) -> str:
    return (Path(stack.data_dir) / "log" / f"{process}.log").read_text()


@pytest.mark.timeout(300)
def test_pictures_that_hang_their_worker_fail_and_their_neighbours_lose_no_attempt(
    stack: FaultyStack, shop: Shop
) -> None:
    with PictureServer() as pictures:
        files = {f"p{at}": picture((20 * at, 0, 0)) for at in range(_NEIGHBOURS)}
        files |= {f"hangs-{at}": picture() + hang for at, hang in enumerate(PLANTED)}
        products = [
            {"id": name, "name": "A shirt", "image_url": pictures.add(f"/{name}.jpg", data)}
            for name, data in files.items()
        ]
        job_id = shop.call("POST", "/index-products", 202, json={"products": products})["job_id"]
        counts = shop.finished(job_id, 270)["counts"]
    assert (counts["indexed"], counts["failed"]) == (_NEIGHBOURS, len(PLANTED))
    for item in shop.call("GET", f"/jobs/{job_id}/items?limit=100")["items"]:
        if item["outcome"] == "failed":
            assert item["product_id"].startswith("hangs-")
            assert item["code"] == "internal_error"
            assert f"stood still or died {_MAX_ATTEMPTS} time while" in item["message"]
        else:
            assert item["attempts"] == 0
    # Once among all, and then each of them alone as often as it may be tried.
    said = log(stack, "worker")
    ends = said.count("Timeout (") + said.count("stands_still")
    assert ends == 1 + _MAX_ATTEMPTS * len(PLANTED)
    assert "hang_with_lock" in said  # where it stood
    assert "hang_without_lock" in said


@pytest.mark.timeout(120)
@pytest.mark.parametrize("hang", [DECODING_WITH_LOCK, DECODING_WITHOUT_LOCK])
def test_a_search_that_hangs_the_api_has_its_process_replaced(
    stack: FaultyStack, shop: Shop, hang: bytes
) -> None:
    arbiter = stack.pid("api")
    before = children(arbiter)
    shop.search({"image_base64": base64.b64encode(picture()).decode()})  # the tower is loaded
    with pytest.raises(requests.ConnectionError):
        shop.search({"image_base64": base64.b64encode(picture() + hang).decode()})
    eventually(stack._is_ready, 60, "another process")
    assert children(arbiter) != before
    assert shop.search({"text_query": "shirt"})["query_type"] == "text"
    assert stack.pid("api") == arbiter
