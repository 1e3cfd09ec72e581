"""Whatever hangs a process is ended, and counts against the product whose turn it was.

Real processes, in which steps that never end are planted; the watchdog's bounds are seconds.
"""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture
from tests.reliability.faults.conftest import SHOP_KEYS, settings_of
from tests.reliability.faults.stack import FaultyStack, eventually
from tests.reliability.hangs.planted import DECODING_WITH_LOCK, DECODING_WITHOUT_LOCK, PLANTED

_APPS = {
    "worker.app": "tests.reliability.hangs.hanging_worker",
    "api.wsgi:app": "tests.reliability.hangs.hanging_api:app",
}
_NEIGHBOURS = 10
_MAX_ATTEMPTS = 1
_BOUND_SECONDS = 3.0


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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("hang", PLANTED, ids=lambda hang: hang.decode().replace(" ", "-"))
def test_a_picture_that_hangs_its_worker_fails_alone(shop: Shop, hang: bytes) -> None:
    began = time.monotonic()
    with PictureServer() as pictures:
        products = [
            {
                "id": f"p{at}",
                "name": "A shirt",
                "image_url": pictures.add(f"/{at}.jpg", picture((20 * at, 0, 0)) + bytes([at])),
            }
            for at in range(_NEIGHBOURS)
        ]
        url = pictures.add("/hang.jpg", picture() + hang)
        products.insert(3, {"id": "hangs", "name": "A shirt", "image_url": url})
        job_id = shop.call("POST", "/index-products", 202, json={"products": products})["job_id"]
        job = shop.finished(job_id, 240)
    assert (job["counts"]["indexed"], job["counts"]["failed"]) == (_NEIGHBOURS, 1)
    items = shop.call("GET", f"/jobs/{job_id}/items?limit=100")["items"]
    (failed,) = [item for item in items if item["outcome"] == "failed"]
    assert (failed["product_id"], failed["code"]) == ("hangs", "internal_error")
    assert f"stood still or died {_MAX_ATTEMPTS} time while" in failed["message"]
    assert [item["attempts"] for item in items if item is not failed] == [0] * _NEIGHBOURS
    # Once among all and then alone as often as it may be tried, each with a start and a lease.
    assert time.monotonic() - began < (1 + _MAX_ATTEMPTS) * (_BOUND_SECONDS + 25)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("hang", [DECODING_WITH_LOCK, DECODING_WITHOUT_LOCK])
def test_a_search_that_hangs_the_api_has_its_process_replaced(
    stack: FaultyStack, shop: Shop, hang: bytes
) -> None:
    arbiter = stack.pid("api")
    before = children(arbiter)
    shop.search({"image_base64": base64.b64encode(picture()).decode()})  # the tower is loaded
    began = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        shop.search({"image_base64": base64.b64encode(picture() + hang).decode()})
    assert time.monotonic() - began < _BOUND_SECONDS + 10
    eventually(stack._is_ready, 60, "another process")
    assert children(arbiter) != before
    assert shop.search({"text_query": "shirt"})["query_type"] == "text"
    assert stack.pid("api") == arbiter


def test_where_it_stood_is_in_the_logs(stack: FaultyStack) -> None:
    for process in ("worker", "api"):
        log = (Path(stack.data_dir) / "log" / f"{process}.log").read_text()
        assert "hang_with_lock" in log
        assert "hang_without_lock" in log
        assert "stands_still" in log
