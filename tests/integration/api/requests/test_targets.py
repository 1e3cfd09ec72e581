"""URLs that are no UTF-8 name nothing, as gunicorn serves them and as the test client does."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes

import pytest

from tests.integration.api.conftest import Shop, product
from tests.integration.api.gunicorn_process import serving
from tests.servers import EmbeddedQdrantProcess, RedisServer

NOT_UTF8 = ["caf%E8", "%FF", "%C0%AF", "%ED%A0%80", "%F5%80%80%80", "a%E8b%C3%A9", "%c3", "caf\xe8"]
NOT_ESCAPED = ["caf%u00e8", "%u0000x"]
STRAY = ["50%", "%zz", "%", "a%2", "%%41", "a#b"]

PATHS = [
    ("DELETE", "/api/v1/products/{}"),
    ("PATCH", "/api/v1/products/{}"),
    ("GET", "/api/v1/products/{}"),
    ("GET", "/api/v1/products/a/{}/b"),
    ("GET", "/api/v1/jobs/{}"),
    ("GET", "/api/v1/jobs/{}/items"),
    ("POST", "/api/v1/jobs/{}/retry"),
    ("GET", "/docs/{}"),
    ("GET", "/{}"),
]
QUERIES = [
    ("GET", "/api/v1/search?q={}"),
    ("GET", "/api/v1/search?q=a&{}=1"),
    ("GET", "/api/v1/search?q=a&category_filter={}"),
    ("GET", "/api/v1/search?q=a&attributes={}"),
    ("GET", "/api/v1/similar?product_id={}"),
    ("GET", "/api/v1/products?cursor={}"),
    ("GET", "/api/v1/jobs?cursor={}"),
    ("DELETE", "/api/v1/products/a?version={}"),
    ("POST", "/api/v1/index-products?{}"),
    ("GET", "/healthz?{}"),
]


@pytest.fixture(scope="module")
def served(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> Iterator[http.client.HTTPConnection]:
    with serving(
        REDIS_URL=ledger_server.url,
        REDIS_CACHE_URL=cache_server.url,
        QDRANT_URL=qdrant_server.url,
    ) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        # As the client writes it, whatever it is.
        connection._validate_path = lambda _url: None  # type: ignore[attr-defined]
        connection._encode_request = lambda request: request.encode("latin-1")  # type: ignore[attr-defined]
        yield connection
        connection.close()


def _asked(
    served: http.client.HTTPConnection, method: str, target: str
) -> tuple[int, dict[str, str]]:
    served.request(method, target, headers={"Content-Length": "0"})
    answer = served.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(("method", "where"), [*PATHS, *QUERIES])
@pytest.mark.parametrize("text", [*NOT_UTF8, *NOT_ESCAPED])
def test_a_url_that_is_no_utf8_is_malformed(
    served: http.client.HTTPConnection, method: str, where: str, text: str
) -> None:
    status, problem = _asked(served, method, where.format(text))
    assert (status, problem["code"]) == (400, "malformed")
    # What isn't even ASCII is refused by gunicorn.
    assert "UTF-8" in problem["detail"] or text == "caf\xe8"


@pytest.mark.parametrize(("method", "where"), PATHS)
@pytest.mark.parametrize("text", STRAY)
def test_a_path_with_a_sign_that_is_not_escaped_is_malformed(
    served: http.client.HTTPConnection, method: str, where: str, text: str
) -> None:
    status, problem = _asked(served, method, where.format(text))
    assert (status, problem["code"]) == (400, "malformed")


@pytest.mark.parametrize("text", ["100%+wool", "100%%20wool", "100%25%20wool", "%zz"])
def test_a_stray_percent_sign_in_a_query_stands_for_itself_as_browsers_send_it(
    served: http.client.HTTPConnection, text: str
) -> None:
    assert _asked(served, "GET", f"/api/v1/search?q={text}")[0] == 200


def test_no_product_is_deleted_by_a_name_that_cant_be_read(shop: Shop) -> None:
    ids = ["caf\ufffd", "caf%E8", "50%", "caf%u00e8", "café", "50%zz", "a", "a#b"]
    shop.http.post("/api/v1/index-products", json={"products": [product(each) for each in ids]})
    shop.work()
    for text in ("caf%E8", "caf%u00e8", "50%", "50%zz", "caf%C3", "a#b"):
        target = f"/api/v1/products/{text}"
        # The test client would escape it once more.
        as_sent = {"RAW_URI": target, "PATH_INFO": unquote_to_bytes(target).decode("latin-1")}
        assert shop.http.delete("/", environ_overrides=as_sent).status_code == 400
    shop.work()
    for each in ids:
        assert shop.http.get(f"/api/v1/products/{quote(each)}").json["id"] == each
        assert shop.http.delete(f"/api/v1/products/{quote(each)}").status_code == 202
    shop.work()
    assert shop.http.get("/api/v1/products").json["products"] == []


def test_a_nul_in_a_path_is_no_products_id(shop: Shop) -> None:
    answer = shop.http.delete("/api/v1/products/a%00b")
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "control_character")
    assert shop.http.get("/api/v1/jobs/%00").status_code == 404


@pytest.mark.parametrize("key", ["caf\xe8", "a\tb", "\x7f", "\xef\xbb\xbf"])
def test_an_idempotency_key_that_is_no_ascii_is_refused(shop: Shop, key: str) -> None:
    headers = {"Idempotency-Key": key}
    answer = shop.http.delete("/api/v1/products/a", headers=headers)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "Idempotency-Key")
