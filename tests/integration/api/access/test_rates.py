"""Rate limits: counted per key, shared between processes, and kept up without Redis."""

import socket
import time
from pathlib import Path

import pytest
from redis import Redis

from api.access.keys import add_key
from api.access.rates import SEARCH, RateLimiter
from api.responses.problems import Problem
from shared.settings import Settings
from tests.integration.api.conftest import MakeShop, Shop, product
from tests.servers import RedisServer


def test_by_default_nothing_is_limited(shop: Shop) -> None:
    assert {shop.http.get("/api/v1/jobs").status_code for _ in range(200)} == {200}
    assert Settings(_env_file=None).rate_limit_search == ""


def test_searches_beyond_the_limit_are_refused_until_the_window_ends(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_search="3/2seconds;1000/hour")
    paths = ["/api/v1/search?q=a", "/api/v1/products", "/api/v1/jobs"]
    assert [shop.http.get(path).status_code for path in paths] == [200, 200, 200]
    refused = shop.http.post("/api/v1/search", json={"text_query": "a"})
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 2
    time.sleep(wait)
    assert shop.http.get(paths[0]).status_code == 200
    assert 'rate_limited_total{kind="search"}' in shop.http.get("/metrics").text


def test_writes_and_probes_do_not_count_as_searches(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_search="1/hour")
    assert shop.http.get("/api/v1/jobs").status_code == 200
    assert shop.http.get("/api/v1/jobs").status_code == 429
    assert shop.http.post("/api/v1/index-product", json=product("a")).status_code == 202
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert shop.http.get(path).status_code == 200
    assert shop.http.options("/api/v1/jobs").status_code == 204


def test_each_item_of_a_batch_counts(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_write="10/hour")

    def push(count: int) -> int:
        products = [product(f"p{n}") for n in range(count)]
        return shop.http.post("/api/v1/index-products", json={"products": products}).status_code

    assert [push(6), push(4), push(1)] == [202, 202, 429]
    assert shop.http.delete("/api/v1/products/p0").status_code == 429
    assert shop.http.get("/api/v1/products").status_code == 200


def test_a_batch_larger_than_the_limit_goes_through_alone(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_write="3/hour")
    products = {"products": [product(f"p{n}") for n in range(9)]}
    assert shop.http.post("/api/v1/index-products", json=products).status_code == 202
    assert shop.http.post("/api/v1/index-products", json=products).status_code == 429


def test_a_refused_write_changes_nothing(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_write="1/hour")
    shop.http.post("/api/v1/index-product", json=product("a"))
    shop.work()
    assert shop.http.post("/api/v1/index-product", json=product("b")).status_code == 429
    assert shop.work().wanted == []


def test_what_is_refused_uses_nothing_up(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_write="10/hour;1000/day")

    def push(count: int) -> int:
        products = [product(f"p{n}") for n in range(count)]
        return shop.http.post("/api/v1/index-products", json={"products": products}).status_code

    assert [push(6), push(5), push(5), push(4), push(1)] == [202, 429, 429, 202, 429]


def test_a_limit_that_refuses_leaves_the_others_as_they_were(cache_server: RedisServer) -> None:
    rates = RateLimiter(cache_server.url, {SEARCH: "3/hour;1/1second"})
    rates.spend(SEARCH, "eager")
    for _ in range(5):
        with pytest.raises(Problem, match="1 per 1 second"):
            rates.spend(SEARCH, "eager")
    time.sleep(1.05)
    rates.spend(SEARCH, "eager")


def test_what_the_ledger_did_not_take_is_not_counted(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_write="1/hour", ledger_max_pending=1)
    other = make_shop()
    assert other.http.post("/api/v1/index-product", json=product("a")).status_code == 202
    assert shop.http.post("/api/v1/index-product", json=product("a")).status_code == 503
    other.work()
    assert shop.http.patch("/api/v1/products/none", json={"price": 1}).status_code == 404
    assert shop.http.post("/api/v1/index-product", json=product("a")).status_code == 202


def test_a_repeat_gets_its_job_and_is_not_counted_again(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_write="3/hour")

    def push(key: str, name: str) -> tuple[int, str]:
        answer = shop.http.post(
            "/api/v1/index-product", json=product(name), headers={"Idempotency-Key": key}
        )
        return answer.status_code, answer.json.get("job_id", "")

    first = push("one", "a")
    assert [push("one", "a"), push("one", "a"), push("one", "other")[0]] == [first, first, 409]
    assert [push("two", "b")[0], push("three", "c")[0], push("four", "d")[0]] == [202, 202, 429]
    assert push("one", "a") == first


def test_a_retry_counts_what_it_takes_and_its_repeat_nothing(make_shop: MakeShop) -> None:
    shop = make_shop(rate_limit_write="6/hour")
    products = {"products": [product(f"p{n}") for n in range(3)]}
    job = shop.http.post("/api/v1/index-products", json=products).json["job_id"]
    shop.work(fail={"p0": "image_timeout", "p1": "image_timeout"}, retryable=True)

    def retry(key: str) -> int:
        headers = {"Idempotency-Key": key}
        return shop.http.post(f"/api/v1/jobs/{job}/retry", headers=headers).status_code

    assert [retry("again"), retry("again"), retry("anew")] == [202, 202, 429]
    assert shop.http.post("/api/v1/index-product", json=product("p9")).status_code == 202


def test_keys_count_apart_also_those_of_one_tenant(make_shop: MakeShop, tmp_path: Path) -> None:
    shop = make_shop(rate_limit_search="1/hour")
    second = {"Authorization": f"Bearer {add_key(tmp_path / 'api-keys', shop.tenant)}"}
    time.sleep(1.05)
    assert [shop.http.get("/api/v1/jobs").status_code for _ in range(2)] == [200, 429]
    assert shop.http.get("/api/v1/jobs", headers=second).status_code == 200


def test_without_keys_addresses_count_apart_and_no_header_names_another(
    make_shop: MakeShop,
) -> None:
    shop = make_shop(with_keys=False, rate_limit_search="1/hour")

    def ask(address: str, **headers: str) -> int:
        answer = shop.http.get(
            "/api/v1/jobs", environ_overrides={"REMOTE_ADDR": address}, headers=headers
        )
        return answer.status_code

    assert [ask("127.0.0.81"), ask("127.0.0.81"), ask("127.0.0.82")] == [200, 429, 200]
    assert ask("127.0.0.81", **{"X-Forwarded-For": "127.0.0.83"}) == 429


def test_processes_count_together(make_shop: MakeShop) -> None:
    one, other = make_shop(rate_limit_search="2/hour"), make_shop(rate_limit_search="2/hour")
    key = one.http.environ_base["HTTP_AUTHORIZATION"]
    assert one.http.get("/api/v1/jobs").status_code == 200
    assert other.http.get("/api/v1/jobs", headers={"Authorization": key}).status_code == 200
    assert one.http.get("/api/v1/jobs").status_code == 429


def test_while_redis_is_gone_each_process_counts_for_itself(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "cache")
    server.start()
    rates = RateLimiter(server.url, {SEARCH: "2/hour"})
    rates.spend(SEARCH, "a")
    server.kill9()
    rates.spend(SEARCH, "a")
    rates.spend(SEARCH, "a")
    with pytest.raises(Exception, match="is used up") as refused:
        rates.spend(SEARCH, "a")
    assert refused.value.headers["Retry-After"]


def test_a_redis_that_is_gone_costs_one_request_in_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, answers nobody
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        rates = RateLimiter(url, {SEARCH: "100000/hour"})
        started = time.perf_counter()
        for _ in range(200):
            rates.spend(SEARCH, "a")
        assert time.perf_counter() - started < 30, "each of them paid a quarter of a second"


def test_a_check_costs_one_exchange_with_the_redis(cache_server: RedisServer) -> None:
    rates = RateLimiter(cache_server.url, {SEARCH: "10000000/hour"})
    rates.spend(SEARCH, "a")
    with Redis.from_url(cache_server.url, socket_timeout=60) as redis:
        before = redis.info("stats")["total_reads_processed"]
        for _ in range(100):
            rates.spend(SEARCH, "a")
        assert redis.info("stats")["total_reads_processed"] - before == 100 + 1  # this one


@pytest.mark.parametrize("text", ["many", "10", "10/fortnight", "-1/second", "1/second, x"])
def test_a_limit_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)rate_limit_search"):
        Settings(_env_file=None, rate_limit_search=text)
