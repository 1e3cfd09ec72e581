"""`POST /jobs/{job_id}/retry`: a new job of what failed and may succeed."""

import pytest

from shared.ledger import connect
from tests.integration.api.conftest import MakeShop, Shop, product


def _push(shop: Shop, count: int = 3) -> str:
    items = [product(f"p{n}") for n in range(count)]
    url: str = shop.http.post("/api/v1/index-products", json={"products": items}).json["status_url"]
    return url


def test_what_failed_is_retried_as_a_job_of_its_own(shop: Shop) -> None:
    url = _push(shop)
    shop.work(fail={"p1": "image_timeout", "p2": "image_unreachable"}, retryable=True)
    answer = shop.http.post(url + "/retry")
    assert answer.status_code == 202
    job_id = answer.json["job_id"]
    assert answer.json == {
        "status": "queued",
        "job_id": job_id,
        "status_url": f"/api/v1/jobs/{job_id}",
        "accepted": 2,
    }
    assert answer.headers["Location"] == answer.json["status_url"]
    shop.work()
    job = shop.http.get(answer.json["status_url"]).json
    assert (job["state"], job["counts"]["received"], job["counts"]["indexed"]) == (
        "succeeded",
        2,
        2,
    )
    items = shop.http.get(answer.json["status_url"] + "/items").json["items"]
    assert [(item["position"], item["product_id"]) for item in items] == [(1, "p1"), (2, "p2")]
    assert shop.http.get("/api/v1/products/p1").json["last_error"] is None
    assert shop.http.get(url).json["counts"]["failed"] == 2


def test_what_was_changed_since_is_left_as_it_is(shop: Shop) -> None:
    url = _push(shop)
    shop.work(fail={f"p{n}": "image_timeout" for n in range(3)}, retryable=True)
    shop.http.post("/api/v1/index-product", json=product("p0", name="Newer", price=5))
    shop.http.delete("/api/v1/products/p1")
    shop.work()
    assert shop.http.post(url + "/retry").json["accepted"] == 1
    shop.work()
    assert shop.http.get("/api/v1/products/p0").json["name"] == "Newer"
    assert shop.http.get("/api/v1/products/p1").status_code == 404
    assert shop.http.get("/api/v1/products/p2").status_code == 200


def test_where_nothing_can_be_retried_that_is_said(shop: Shop) -> None:
    url = _push(shop)
    shop.work(fail={"p1": "not_an_image"})
    answer = shop.http.post(url + "/retry")
    assert (answer.status_code, answer.json["code"]) == (409, "nothing_to_retry")
    assert len(shop.http.get("/api/v1/jobs").json["jobs"]) == 1


def test_a_second_retry_finds_nothing_and_a_repeat_finds_the_first(shop: Shop) -> None:
    url = _push(shop)
    shop.work(fail={"p1": "image_timeout"}, retryable=True)
    headers = {"Idempotency-Key": "k"}
    first = shop.http.post(url + "/retry", headers=headers)
    assert shop.http.post(url + "/retry", headers=headers).json == first.json
    assert shop.http.post(url + "/retry").json["code"] == "nothing_to_retry"
    assert len(shop.work().wanted) == 1
    assert shop.http.post(url + "/retry", headers=headers).json == first.json


def test_a_repeat_finds_the_first_though_the_failed_job_has_expired(shop: Shop) -> None:
    url = _push(shop)
    job_id = url.rsplit("/", 1)[1]
    shop.work(fail={"p1": "image_timeout"}, retryable=True)
    headers = {"Idempotency-Key": "k"}
    first = shop.http.post(url + "/retry", headers=headers)
    redis = connect(shop.services.settings.redis_url)
    redis.delete(f"vitrine:job:{shop.tenant}:{job_id}", f"vitrine:items:{shop.tenant}:{job_id}")
    again = shop.http.post(url + "/retry", headers=headers)
    assert (again.status_code, again.json) == (202, first.json)
    for other in ({}, {"Idempotency-Key": "another"}):
        answer = shop.http.post(url + "/retry", headers=other)
        assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
    answer = shop.http.post("/api/v1/jobs/other/retry", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_conflict")
    redis.delete(f"vitrine:job:{shop.tenant}:{first.json['job_id']}")
    assert shop.http.post(url + "/retry", headers=headers).status_code == 404
    redis.close()


def test_a_key_of_another_request_is_a_conflict(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k"}
    job = shop.http.post("/api/v1/index-product", json=product("a"), headers=headers).json
    shop.work(fail={"a": "image_timeout"}, retryable=True)
    answer = shop.http.post(job["status_url"] + "/retry", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_conflict")


def test_a_job_that_still_tries_is_not_retried(shop: Shop) -> None:
    answer = shop.http.post(_push(shop) + "/retry")
    assert (answer.status_code, answer.json["code"]) == (409, "job_not_finished")


@pytest.mark.parametrize("job_id", ["nosuchjob", "%00", "a:b"])
def test_a_job_nobody_has_is_not_found(shop: Shop, job_id: str) -> None:
    answer = shop.http.post(f"/api/v1/jobs/{job_id}/retry")
    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")


def test_another_shops_job_is_not_found(make_shop: MakeShop) -> None:
    one, other = make_shop(), make_shop()
    url = _push(one)
    one.work(fail={"p1": "image_timeout"}, retryable=True)
    assert other.http.post(url + "/retry").status_code == 404
    assert one.http.post(url + "/retry").json["accepted"] == 1


def test_unknown_parameters_are_refused(shop: Shop) -> None:
    answer = shop.http.post(_push(shop) + "/retry?wait=1")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "wait")
