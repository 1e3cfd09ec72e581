"""The main job end to end, without the worker's own part."""

import time

from tests.integration.api.conftest import Shop, product


def test_products_come_in_land_and_are_found_and_the_cache_answers_the_second_time(
    shop: Shop,
) -> None:
    for number, colour in enumerate(("Red", "Blue", "Pink"), 1):
        body = product(
            f"prod_00{number}", name=f"{colour} Shirt", category="clothing", price=25 + 5 * number
        )
        answer = shop.http.post("/api/v1/index-product", json=body)
        assert answer.status_code == 202
        assert answer.json["status"] == "queued"
        assert answer.json["product_id"] == f"prod_00{number}"
        assert answer.json["status_url"] == f"/api/v1/jobs/{answer.json['job_id']}"
        assert answer.headers["Location"] == answer.json["status_url"]
        assert shop.http.get(answer.json["status_url"]).json["state"] == "queued"

    shop.work()

    job = shop.http.get(answer.json["status_url"]).json
    assert (job["state"], job["progress"]) == ("succeeded", 1)
    query = {"text_query": "red shirt", "top_k": 10}
    found = shop.http.post("/api/v1/search", json=query).json
    assert (found["query_type"], found["top_k"], found["total_results"]) == ("text", 10, 3)
    assert found["results"][0]["product_id"] == "prod_001"
    assert found["cached"] is False
    again = shop.http.post("/api/v1/search", json=query).json
    assert again["cached"] is True
    assert again["results"] == found["results"]

    cheap = shop.http.post("/api/v1/search", json={**query, "price_max": 30}).json
    assert [hit["product_id"] for hit in cheap["results"]] == ["prod_001"]
    none = shop.http.post("/api/v1/search", json={**query, "category_filter": "shoes"}).json
    assert (none["total_results"], none["results"]) == (0, [])


def test_a_search_in_a_url_answers_as_its_document_does(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product(price=20, category="clothing"))
    shop.work()
    by_url = shop.http.get(
        "/api/v1/search?q=red+shirt&top_k=5&price_min=1.5&price_max=20&category_filter=clothing"
    ).json
    by_document = shop.http.post(
        "/api/v1/search",
        json={
            "text_query": "red shirt",
            "top_k": 5,
            "price_min": 1.5,
            "price_max": 20,
            "category_filter": "clothing",
        },
    ).json
    assert by_document.pop("cached") is True
    assert by_url.pop("cached") is False
    assert by_url.pop("execution_time_ms") >= by_document.pop("execution_time_ms") >= 0
    assert by_url == by_document
    assert by_url["total_results"] == 1


def test_a_change_is_seen_by_the_search_after_its_job_has_ended(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product(price=20))
    shop.work()
    search = {"text_query": "red shirt"}
    assert shop.http.post("/api/v1/search", json=search).json["results"][0]["price"] == 20
    shop.http.post("/api/v1/index-product", json=product(price=10))
    shop.work()
    assert shop.http.post("/api/v1/search", json=search).json["results"][0]["price"] == 10


def test_ten_thousand_products_are_accepted_within_three_seconds(shop: Shop) -> None:
    items = [
        product(
            f"p{number}",
            description="Beautiful red cotton shirt",
            price=29.99,
            category="clothing",
            attributes={"color": "red", "size": "M", "stock": 15},
            created_at="2024-11-02T10:30:00",
        )
        for number in range(10_000)
    ]
    # Other tests keep the machine busy: the thread's own time counts, and the best of three calls.
    took = []
    for _ in range(3):
        started = time.thread_time()
        answer = shop.http.post("/api/v1/index-products", json={"products": items})
        took.append(time.thread_time() - started)
        assert answer.status_code == 202
        assert answer.json["accepted"] == 10_000
        if took[-1] < 3:
            break
    assert min(took) < 3
