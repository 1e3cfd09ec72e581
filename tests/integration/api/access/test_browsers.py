"""What pages in browsers may do: by default nothing, without keys not even by DNS rebinding."""

import pytest

from tests.integration.api.conftest import MakeShop, Shop, product

SHOP_PAGE = "https://shop.example"
CORS = "Access-Control-Allow-Origin"
READS = ["/api/v1/search?q=a", "/api/v1/products", "/api/v1/products/a", "/api/v1/similar"]


def test_by_default_no_page_may_read_anything(shop: Shop) -> None:
    for path in [*READS, "/healthz", "/api/v1/jobs"]:
        for answer in (
            shop.http.get(path, headers={"Origin": SHOP_PAGE}),
            shop.http.options(path, headers={"Origin": SHOP_PAGE}),
        ):
            assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", READS)
def test_listed_pages_may_search_and_read_products(make_shop: MakeShop, path: str) -> None:
    shop = make_shop(cors_origins=(SHOP_PAGE,))
    answer = shop.http.get(path, headers={"Origin": SHOP_PAGE})
    assert answer.headers[CORS] == SHOP_PAGE
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert CORS not in shop.http.get(path, headers={"Origin": "https://evil.example"}).headers
    assert CORS not in shop.http.get(path, headers={"Origin": "null"}).headers


def test_browsers_may_ask_beforehand_without_a_key(make_shop: MakeShop) -> None:
    shop = make_shop(cors_origins=(SHOP_PAGE,))
    del shop.http.environ_base["HTTP_AUTHORIZATION"]
    asked = {
        "Origin": SHOP_PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = shop.http.options("/api/v1/search", headers=asked)
    assert answer.status_code == 204
    assert answer.headers[CORS] == SHOP_PAGE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    assert shop.http.post("/api/v1/search", headers=asked, json={}).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/index-product"),
        ("POST", "/api/v1/index-products"),
        ("PATCH", "/api/v1/products/a"),
        ("DELETE", "/api/v1/products/a"),
        ("GET", "/api/v1/jobs"),
        ("GET", "/metrics"),
    ],
)
def test_listed_pages_may_do_nothing_else(make_shop: MakeShop, method: str, path: str) -> None:
    shop = make_shop(cors_origins=(SHOP_PAGE,))
    asked = {"Origin": SHOP_PAGE, "Access-Control-Request-Method": method}
    answer = shop.http.options(path, headers=asked)
    assert method not in answer.headers.get("Access-Control-Allow-Methods", "")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "[2001:db8::1]",
        "127.0.0.1@evil.example/",
        "[::1",
        "",
    ],
)
def test_without_keys_other_names_than_this_machines_are_refused(
    make_shop: MakeShop, host: str
) -> None:
    shop = make_shop(with_keys=False)
    for path in ("/api/v1/products", "/metrics", "/docs", "/nowhere"):
        answer = shop.http.get(path, environ_overrides={"HTTP_HOST": host})
        assert (answer.status_code, answer.json["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:8000", "127.9.9.9", "[::1]:80"]
)
def test_without_keys_this_machine_is_served_by_all_its_names(
    make_shop: MakeShop, host: str
) -> None:
    shop = make_shop(with_keys=False)
    answer = shop.http.get("/healthz", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == 200


def test_without_keys_further_names_can_be_set(make_shop: MakeShop) -> None:
    shop = make_shop(with_keys=False, api_allowed_hosts=("Search.internal",))
    host = {"HTTP_HOST": "search.internal:8000"}
    assert shop.http.get("/healthz", environ_overrides=host).status_code == 200


def test_with_keys_any_name_is_served(shop: Shop) -> None:
    host = {"HTTP_HOST": "search.shop.example"}
    assert shop.http.get("/api/v1/products", environ_overrides=host).status_code == 200


def test_without_keys_pages_of_other_sites_change_nothing(make_shop: MakeShop) -> None:
    shop = make_shop(with_keys=False, cors_origins=(SHOP_PAGE,))
    for origin, status in (
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost:3000", 403),
        ("http://localhost", 202),
        (SHOP_PAGE, 202),
    ):
        answer = shop.http.post(
            "/api/v1/index-product", json=product("a"), headers={"Origin": origin}
        )
        assert answer.status_code == status
