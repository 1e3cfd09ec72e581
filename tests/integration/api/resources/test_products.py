"""Reading and deleting products."""

from urllib.parse import quote

import pytest

from shared.errors import ItemCode, ItemTransient
from shared.models.change import Lane
from shared.models.product import Product
from tests.integration.api.conftest import MakeShop, Shop, product
from worker.reconcile.reports import picture_put_off

STRANGE_IDS = [
    "a/b",
    "/a",
    "a/",
    "//a//b//",
    "../etc/passwd",
    "a/../b",
    "100%",
    "a?b#c",
    "a b+c",
    "chemise d’été",
    "x" * 128,
]


@pytest.mark.parametrize("product_id", STRANGE_IDS)
def test_any_id_is_read_and_deleted_by_its_encoded_name(shop: Shop, product_id: str) -> None:
    path = f"/api/v1/products/{quote(product_id, safe='')}"
    shop.http.post("/api/v1/index-product", json=product(product_id))
    shop.work()
    assert shop.http.get(path).json["id"] == product_id
    assert shop.http.delete(path).json["product_id"] == product_id
    shop.work()
    assert shop.http.get(path).status_code == 404


def test_slashes_need_no_encoding(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product("shoes/red/42"))
    shop.work()
    assert shop.http.get("/api/v1/products/shoes/red/42").json["id"] == "shoes/red/42"


@pytest.mark.parametrize("product_id", ["a%00b", "a%0D%0Ab", "%FF%00", "x" * 129])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_can_be_no_id_is_refused(shop: Shop, method: str, product_id: str) -> None:
    answer = shop.http.open(f"/api/v1/products/{product_id}", method=method)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "product_id"


def test_a_patch_waits_in_a_lane_of_its_own(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product("a"))
    shop.work()
    assert shop.http.patch("/api/v1/products/a", json={"price": 3}).status_code == 202
    waiting = {backlog.lane: backlog.pending for backlog in shop.services.ledger.backlog()}
    assert waiting == {Lane.SINGLE: 0, Lane.BULK: 0, Lane.FAST: 1}


def test_a_product_is_read_back_with_what_index_and_ledger_know(shop: Shop) -> None:
    sent = product(
        "a",
        description="Red",
        category="clothing",
        price=29.99,
        attributes={"color": "red", "sizes": ["M", "L"], "stock": 15, "sale": True},
        created_at="2024-11-02T10:30:00",
        version=7,
        group_id="shirts",
    )
    shop.http.post("/api/v1/index-product", json=sent)
    shop.work()
    read = shop.http.get("/api/v1/products/a").json
    added = {
        name: read.pop(name)
        for name in ("rev", "indexed_at", "warnings", "pending", "last_error", "waiting")
    }
    unset = dict.fromkeys(set(Product.model_fields) - sent.keys())
    assert read == {**unset, **sent, "created_at": "2024-11-02T10:30:00Z"}
    assert added.pop("rev") > 1.7e15
    assert added == {
        "indexed_at": "2026-01-01T00:00:00Z",
        "warnings": [],
        "pending": False,
        "last_error": None,
        "waiting": None,
    }


def test_a_waiting_change_and_the_last_error_show(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product("a"))
    missing = shop.http.get("/api/v1/products/a")
    assert (missing.status_code, missing.json["code"]) == (404, "product_not_found")
    assert (missing.json["pending"], missing.json["last_error"]) == (True, None)

    shop.work(fail={"a": "image_not_found"})
    missing = shop.http.get("/api/v1/products/a").json
    error = {"code": "image_not_found", "message": "told so"}
    assert (missing["pending"], missing["last_error"]) == (False, error)

    shop.http.post("/api/v1/index-product", json=product("a"))
    shop.work()
    shop.http.post("/api/v1/index-product", json=product("a", price=1))
    read = shop.http.get("/api/v1/products/a").json
    assert (read["pending"], read["price"], read["last_error"]) == (True, None, None)
    shop.work(fail={"a": "image_timeout"})
    read = shop.http.get("/api/v1/products/a").json
    assert (read["pending"], read["last_error"]["code"]) == (False, "image_timeout")


def test_a_product_that_waits_for_its_picture_says_so(shop: Shop) -> None:
    job = shop.http.post("/api/v1/index-product", json=product("a")).json
    claim = shop.services.ledger.claim(list(Lane), 1)
    (wanted,) = claim.wanted
    report = picture_put_off(
        wanted, 3600, ItemTransient(ItemCode.IMAGE_HTTP_ERROR, "429, come again")
    )
    shop.services.ledger.report(claim, [report])
    (item,) = shop.http.get(job["status_url"] + "/items").json["items"]
    assert (item["outcome"], item["message"]) == ("pending", "429, come again")
    waiting = shop.http.get("/api/v1/products/a").json["waiting"]
    assert waiting.pop("next_try_at") == item["next_try_at"] > "2026"
    assert waiting == {"code": "image_http_error", "message": "429, come again", "attempts": 0}


def test_the_last_error_stays_until_something_lands_also_while_a_retry_waits(shop: Shop) -> None:
    job = shop.http.post("/api/v1/index-product", json=product("a")).json
    shop.work(fail={"a": "image_timeout"}, retryable=True)
    shop.http.post(job["status_url"] + "/retry")
    waiting = shop.http.get("/api/v1/products/a").json
    assert (waiting["code"], waiting["pending"]) == ("product_not_found", True)
    assert waiting["last_error"]["code"] == "image_timeout"
    shop.work()
    read = shop.http.get("/api/v1/products/a").json
    assert (read["pending"], read["last_error"]) == (False, None)


def test_a_product_nobody_sent_is_not_found(shop: Shop) -> None:
    answer = shop.http.get("/api/v1/products/nobody")
    assert (answer.status_code, answer.json["code"]) == (404, "product_not_found")
    assert "pending" not in answer.json


def test_the_embedding_comes_on_request_only(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product("a"))
    shop.work()
    assert "embedding" not in shop.http.get("/api/v1/products/a").json
    embedding = shop.http.get("/api/v1/products/a?include=embedding").json["embedding"]
    assert len(embedding) == 512
    assert sum(number**2 for number in embedding) == pytest.approx(1, abs=1e-3)
    assert shop.http.get("/api/v1/products/a?include=price").status_code == 422


def test_deleting_what_is_not_there_is_accepted(shop: Shop) -> None:
    answer = shop.http.delete("/api/v1/products/nobody")
    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json["status_url"]
    shop.work()
    assert shop.http.get(answer.json["status_url"]).json["counts"]["deleted"] == 1


def test_a_delete_of_an_older_version_is_stale(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product("a", version=9))
    shop.work()
    answer = shop.http.delete("/api/v1/products/a?version=8")
    assert shop.http.get(answer.json["status_url"]).json["counts"]["stale"] == 1
    shop.work()
    assert shop.http.get("/api/v1/products/a").status_code == 200
    shop.http.delete("/api/v1/products/a?version=10")
    shop.work()
    assert shop.http.get("/api/v1/products/a").status_code == 404


@pytest.mark.parametrize("version", ["-1", str(2**53), "1.5", "x"])
def test_an_impossible_version_is_refused(shop: Shop, version: str) -> None:
    answer = shop.http.delete(f"/api/v1/products/a?version={version}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "version"


def test_listing_goes_through_all_products_page_by_page(shop: Shop) -> None:
    items = [product(f"p{n}", category="even" if n % 2 == 0 else "odd") for n in range(7)]
    shop.http.post("/api/v1/index-products", json={"products": items})
    shop.work()
    seen, cursor = [], ""
    for _ in range(4):
        page = shop.http.get(f"/api/v1/products?limit=2{cursor}").json
        seen += [entry["id"] for entry in page["products"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={quote(page['next_cursor'])}"
    assert sorted(seen) == [f"p{n}" for n in range(7)]
    odd = shop.http.get("/api/v1/products?category=odd").json
    assert sorted(entry["id"] for entry in odd["products"]) == ["p1", "p3", "p5"]
    assert odd["next_cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=nonsense"])
def test_an_impossible_page_is_refused(shop: Shop, query: str) -> None:
    answer = shop.http.get(f"/api/v1/products?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == query.split("=", maxsplit=1)[0]


def test_an_empty_parameter_is_an_absent_one(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product?wait=&refetch=", json=product("a", category="x"))
    shop.work()
    listed = shop.http.get("/api/v1/products?limit=&cursor=&category=").json
    assert [entry["id"] for entry in listed["products"]] == ["a"]
    assert "embedding" not in shop.http.get("/api/v1/products/a?include=").json
    assert shop.http.patch("/api/v1/products/a?wait=", json={"price": 1}).status_code == 202
    deleted = shop.http.delete("/api/v1/products/a?version=&wait=")
    assert shop.http.get(deleted.json["status_url"] + "?wait=").status_code == 200
    assert shop.http.get(deleted.json["status_url"] + "/items?status=&limit=").status_code == 200
    assert shop.http.get("/api/v1/jobs?state=&limit=&cursor=").status_code == 200
    # A name that isn't known is told whatever stands behind it.
    assert shop.http.get("/api/v1/products?limt=").status_code == 422


def test_without_the_ledger_products_are_read_and_searched_and_nothing_is_taken(
    shop: Shop, make_shop: MakeShop
) -> None:
    shop.http.post("/api/v1/index-product", json=product("a"))
    shop.work()
    alone = make_shop(ledger_url="redis://127.0.0.1:9/0")
    alone.http.environ_base = shop.http.environ_base
    read = alone.http.get("/api/v1/products/a")
    assert read.status_code == 200
    assert (read.json["pending"], read.json["last_error"]) == (None, None)
    assert alone.http.get("/api/v1/search?q=red+shirt").json["total_results"] == 1
    for refused in (
        alone.http.post("/api/v1/index-product", json=product("b")),
        alone.http.delete("/api/v1/products/a"),
        alone.http.get("/api/v1/jobs/x"),
    ):
        assert (refused.status_code, refused.json["code"]) == (503, "ledger_unavailable")
        assert "127.0.0.1" not in refused.text


def test_without_the_index_reading_and_searching_ask_to_come_back_and_writing_goes_on(
    make_shop: MakeShop,
) -> None:
    shop = make_shop(qdrant_url="http://127.0.0.1:9")
    for refused in (
        shop.http.get("/api/v1/products/a"),
        shop.http.get("/api/v1/products"),
        shop.http.get("/api/v1/search?q=red"),
    ):
        assert (refused.status_code, refused.json["code"]) == (503, "qdrant_unavailable")
        assert "127.0.0.1" not in refused.text
    assert shop.http.post("/api/v1/index-product", json=product("b")).status_code == 202


def test_a_value_of_another_type_than_listed_is_a_warning_wherever_the_product_is_shown(
    make_shop: MakeShop,
) -> None:
    shop = make_shop(attribute_indexes=("color", "rating:float", "in_stock:bool"))
    shop.http.post(
        "/api/v1/index-product", json=product("a", attributes={"rating": "five", "in_stock": 1})
    )
    shop.http.post(
        "/api/v1/index-product", json=product("b", attributes={"rating": 5, "other": "five"})
    )
    shop.work()
    warnings = {"a": ["attribute_type_mismatch"], "b": []}
    listed = shop.http.get("/api/v1/products").json["products"]
    assert {each["id"]: each["warnings"] for each in listed} == warnings
    for name, codes in warnings.items():
        assert shop.http.get(f"/api/v1/products/{name}").json["warnings"] == codes
