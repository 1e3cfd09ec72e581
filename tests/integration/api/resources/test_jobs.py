"""Jobs: counts that add up, waiting, and items page by page."""

import json
import threading
import time

import pytest

from shared.ledger import Ledger, connect
from shared.models.change import Change, Lane
from shared.models.job import Job, JobItem
from shared.models.product import Product
from tests.integration.api.conftest import Shop, product
from tests.waiting import wait_until


def _push(shop: Shop, count: int = 3) -> str:
    items = [product(f"p{n}") for n in range(count)]
    url: str = shop.http.post("/api/v1/index-products", json={"products": items}).json["status_url"]
    return url


def test_a_job_goes_from_queued_to_partially_failed_and_its_counts_add_up(shop: Shop) -> None:
    url = _push(shop)
    job = shop.http.get(url).json
    assert (job["state"], job["progress"], job["started_at"]) == ("queued", 0, None)
    shop.work(fail={"p1": "image_timeout"})
    job = shop.http.get(url).json
    assert (job["state"], job["progress"]) == ("partially_failed", 1)
    assert job["counts"] == {
        "received": 3,
        "indexed": 2,
        "unchanged": 0,
        "deleted": 0,
        "stale": 0,
        "superseded": 0,
        "failed": 1,
        "pending": 0,
    }
    assert job["with_warnings"] == 0
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["created_at"].endswith("Z")


def test_a_long_poll_answers_when_the_job_ends(shop: Shop) -> None:
    url = _push(shop)
    timer = threading.Timer(0.2, shop.work)
    timer.start()
    started = time.perf_counter()
    assert shop.http.get(url + "?wait=30").json["state"] == "succeeded"
    assert time.perf_counter() - started < 20
    timer.join()


def test_a_long_poll_ends_with_its_time(shop: Shop) -> None:
    assert shop.http.get(_push(shop) + "?wait=0.1").json["state"] == "queued"


def test_failed_items_are_listed_page_by_page(shop: Shop) -> None:
    url = _push(shop, 5) + "/items"
    shop.work(fail={f"p{n}": "not_an_image" for n in (0, 2, 4)})
    first = shop.http.get(url + "?status=failed&limit=2").json
    assert [item["position"] for item in first["items"]] == [0, 2]
    assert first["items"][0] == {
        "position": 0,
        "product_id": "p0",
        "outcome": "failed",
        "code": "not_an_image",
        "message": "told so",
        "retryable": False,
        "attempts": 1,
        "next_try_at": None,
    }
    rest = shop.http.get(f"{url}?status=failed&limit=2&cursor={first['next_cursor']}").json
    assert [item["position"] for item in rest["items"]] == [4]
    assert rest["next_cursor"] is None
    assert len(shop.http.get(url).json["items"]) == 5


def test_items_come_as_lines_for_who_accepts_lines(shop: Shop) -> None:
    url = _push(shop) + "/items"
    answer = shop.http.get(url + "?limit=2", headers={"Accept": "application/x-ndjson"})
    assert answer.mimetype == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["product_id"] for line in lines] == ["p0", "p1"]
    following = answer.headers["Link"].split(">")[0].removeprefix("<")
    rest = shop.http.get(following, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["product_id"] for line in rest.text.splitlines()] == ["p2"]
    assert "Link" not in rest.headers


def test_without_a_limit_lines_are_all_that_there_are(shop: Shop) -> None:
    url = _push(shop, 1203) + "/items"
    shop.work(fail={f"p{n}": "image_timeout" for n in range(0, 1203, 2)})
    answer = shop.http.get(url, headers={"Accept": "application/x-ndjson"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["position"] for line in lines] == list(range(1203))
    assert lines[0]["code"] == "image_timeout"
    assert "Link" not in answer.headers
    failed = shop.http.get(url + "?status=failed", headers={"Accept": "application/x-ndjson"})
    assert len(failed.text.splitlines()) == 602
    none = shop.http.get(url + "?status=stale", headers={"Accept": "application/x-ndjson"})
    assert (none.status_code, none.text) == (200, "")
    rest = shop.http.get(url + "?cursor=1200", headers={"Accept": "application/x-ndjson"})
    assert len(rest.text.splitlines()) == 3


def test_without_a_limit_a_page_has_a_hundred_items(shop: Shop) -> None:
    page = shop.http.get(_push(shop, 101) + "/items").json
    assert len(page["items"]) == 100
    assert page["next_cursor"] == "100"


def test_jobs_are_listed_newest_first_and_by_state(shop: Shop) -> None:
    done = _push(shop)
    shop.work(fail={"p0": "not_an_image"})
    waiting = [_push(shop, 1) for _ in range(3)]
    jobs = shop.http.get("/api/v1/jobs").json
    urls = [f"/api/v1/jobs/{job['job_id']}" for job in jobs["jobs"]]
    assert urls == [*waiting[::-1], done]
    assert jobs["next_cursor"] is None
    assert jobs["jobs"][-1] == shop.http.get(done).json

    failed = shop.http.get("/api/v1/jobs?state=partially_failed").json
    assert [job["job_id"] for job in failed["jobs"]] == [done.rsplit("/", maxsplit=1)[1]]
    assert failed["next_cursor"] is None

    first = shop.http.get("/api/v1/jobs?limit=3").json
    rest = shop.http.get(f"/api/v1/jobs?limit=3&cursor={first['next_cursor']}").json
    assert first["jobs"] + rest["jobs"] == jobs["jobs"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("query", ["state=gone", "limit=0", "limit=101", "cursor=x", "status=1"])
def test_an_impossible_list_of_jobs_is_refused(shop: Shop, query: str) -> None:
    answer = shop.http.get(f"/api/v1/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == query.split("=", maxsplit=1)[0]


@pytest.mark.parametrize("query", ["status=gone", "limit=0", "limit=1001", "cursor=x", "cursor=-1"])
def test_an_impossible_page_is_refused(shop: Shop, query: str) -> None:
    answer = shop.http.get(_push(shop) + f"/items?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == query.split("=", maxsplit=1)[0]


@pytest.mark.parametrize("path", ["nosuchjob", "nosuchjob?wait=1", "nosuchjob/items", "%00", "a:b"])
def test_a_job_nobody_has_is_not_found(shop: Shop, path: str) -> None:
    answer = shop.http.get(f"/api/v1/jobs/{path}")
    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")


def test_an_expired_job_is_not_found_nor_listed_any_more(shop: Shop) -> None:
    client = connect(shop.services.settings.redis_url)
    brief = Ledger(client, lease_seconds=30, job_retention_seconds=1, max_pending=100)
    changes = [Change.put(Product(**product(f"p{n}")), n) for n in range(3)]
    url = f"/api/v1/jobs/{brief.accept(shop.tenant, Lane.BULK, changes).job_id}"
    shop.work(fail={"p1": "image_timeout"}, retryable=True)
    assert shop.http.get(url).json["state"] == "partially_failed"
    wait_until(lambda: shop.http.get(url).status_code != 200)
    lines = {"Accept": "application/x-ndjson"}
    for answer in (
        shop.http.get(url),
        shop.http.get(url + "?wait=1"),
        shop.http.get(url + "/items?status=failed"),
        shop.http.get(url + "/items", headers=lines),
        shop.http.post(url + "/retry"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
    assert shop.http.get("/api/v1/jobs").json == {"jobs": [], "next_cursor": None}
    client.close()


def test_a_product_waited_for_whose_job_expires_as_it_is_read_is_queued_as_promised(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, client = shop.services.jobs, connect(shop.services.settings.redis_url)
    read = jobs.item

    def expired(tenant: str, job: Job) -> JobItem | None:
        assert job.finished
        assert client.delete(f"vitrine:items:{tenant}:{job.job_id}") == 1
        return read(tenant, job)

    monkeypatch.setattr(jobs, "item", expired)
    timer = threading.Timer(0.2, shop.work)
    timer.start()
    answer = shop.http.post("/api/v1/index-product?wait=10", json=product("a"))
    timer.join()
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    assert shop.http.get(answer.json["status_url"]).json["state"] == "succeeded"
    client.close()
