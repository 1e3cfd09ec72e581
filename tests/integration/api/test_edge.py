"""Around every request: keys, ids, methods, headers, probes, metrics, the description."""

import re
import signal
import time
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from structlog.testing import capture_logs

from api.access.keys import KeysFileError, add_key
from api.app import create_app
from api.bootstrap import build_parts
from shared.loopback import OpenToTheNetwork
from shared.settings import Settings
from tests.integration.api.conftest import MakeShop, Shop, product
from tests.servers import EmbeddedQdrantProcess

PROTECTED = [
    ("POST", "/api/v1/index-product"),
    ("POST", "/api/v1/index-products"),
    ("GET", "/api/v1/products"),
    ("GET", "/api/v1/products/a"),
    ("DELETE", "/api/v1/products/a"),
    ("GET", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/a"),
    ("GET", "/api/v1/jobs/a/items"),
    ("POST", "/api/v1/jobs/a/retry"),
    ("POST", "/api/v1/search"),
    ("GET", "/api/v1/search?q=a"),
]
OPEN = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/start.js"]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}, {"X-API-Key": "é"}],
)
def test_nothing_of_a_tenant_is_reached_without_its_key(
    shop: Shop, method: str, path: str, headers: dict[str, str]
) -> None:
    del shop.http.environ_base["HTTP_AUTHORIZATION"]
    answer = shop.http.open(path, method=method, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_all_routes_but_the_open_ones_ask_for_a_key(shop: Shop) -> None:
    del shop.http.environ_base["HTTP_AUTHORIZATION"]
    open_routes = {f"{prefix}{path}" for path in OPEN for prefix in ("", "/api/v1")}
    for rule in shop.http.application.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", rule.rule.replace("<name>", "start.js"))
        method = min(rule.methods - {"HEAD", "OPTIONS"})
        status = shop.http.open(path, method=method).status_code
        assert (status == 200) if path in open_routes else (status == 401), path


def test_either_header_carries_the_key(shop: Shop) -> None:
    key = shop.http.environ_base.pop("HTTP_AUTHORIZATION").removeprefix("Bearer ")
    assert shop.http.get("/api/v1/products", headers={"X-API-Key": key}).status_code == 200
    headers = {"Authorization": f"bearer {key}"}
    assert shop.http.get("/api/v1/products", headers=headers).status_code == 200


def test_tenants_see_nothing_of_each_other(make_shop: MakeShop) -> None:
    one, other = make_shop(), make_shop()
    job = one.http.post(
        "/api/v1/index-product", json=product("a"), headers={"Idempotency-Key": "k"}
    ).json
    one.work()
    assert other.http.get("/api/v1/products/a").status_code == 404
    assert other.http.get("/api/v1/products").json["products"] == []
    assert other.http.get("/api/v1/search?q=red+shirt").json["results"] == []
    assert other.http.get(job["status_url"]).status_code == 404
    assert other.http.get(job["status_url"] + "/items").status_code == 404
    assert other.http.post(job["status_url"] + "/retry").status_code == 404
    assert other.http.get("/api/v1/jobs").json["jobs"] == []
    same_key = other.http.post(
        "/api/v1/index-product", json=product("b"), headers={"Idempotency-Key": "k"}
    )
    assert same_key.status_code == 202
    again = one.http.post(
        "/api/v1/index-product", json=product("a"), headers={"Idempotency-Key": "k"}
    )
    assert again.json["job_id"] == job["job_id"]
    other.http.delete("/api/v1/products/a")
    other.work()
    assert one.http.get("/api/v1/products/a").status_code == 200


def test_keys_are_read_anew_when_the_file_changes(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "api-keys"
    late = {"Authorization": f"Bearer {add_key(file, shop.tenant)}"}
    assert shop.http.get("/api/v1/products", headers=late).status_code == 200
    file.write_text("# nobody\n")
    assert shop.http.get("/api/v1/products", headers=late).status_code == 401
    file.write_text("a slip of the editor")
    assert shop.http.get("/api/v1/products", headers=late).status_code == 401


def test_a_keys_file_that_others_may_read_is_told_of(make_shop: MakeShop, tmp_path: Path) -> None:
    file = tmp_path / "api-keys"
    add_key(file, "one")
    shop = make_shop(with_keys=False, api_keys_file=file)
    assert shop.http.get("/readyz").json["warnings"] == []
    file.chmod(0o644)
    assert shop.http.get("/readyz").json["warnings"] == ["keys_file_exposed"]


def test_without_keys_this_machine_is_served_as_the_default_tenant(make_shop: MakeShop) -> None:
    shop = make_shop(with_keys=False)
    shop.http.post("/api/v1/index-product", json=product("default-tenant-product"))
    [wanted] = shop.services.ledger.claim(["single"], 10).wanted
    assert wanted.tenant == "default"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])
def test_without_keys_the_network_is_not_served(shop: Shop, host: str) -> None:
    services = type(shop.services)(
        **{
            **{name: getattr(shop.services, name) for name in shop.services.__slots__},
            "settings": Settings(_env_file=None, api_host=host),
        }
    )
    with pytest.raises(OpenToTheNetwork, match=r"API_HOST.*API_KEYS_FILE"):
        create_app(build_parts(services))


@pytest.mark.parametrize("text", [None, "default", "default:xyz", "UPPER:" + "0" * 64])
def test_an_unusable_keys_file_stops_the_start(
    make_shop: MakeShop, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text)
    with pytest.raises(KeysFileError, match="API_KEYS_FILE"):
        make_shop(with_keys=False, api_keys_file=file)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/products/a", {"GET", "HEAD", "OPTIONS", "PATCH", "DELETE"}),
        ("PUT", "/api/v1/index-product", {"POST", "OPTIONS"}),
        ("POST", "/api/v1/jobs/a", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/api/v1/search", {"GET", "HEAD", "POST", "OPTIONS"}),
    ],
)
def test_a_method_that_is_not_there_names_those_that_are(
    shop: Shop, method: str, path: str, allowed: set[str]
) -> None:
    answer = shop.http.open(path, method=method)
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert answer.json["detail"] == f"this path takes {', '.join(sorted(allowed))} only"


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v1", "/api/v2/search", "/index-product", "/api/v1/products/", "/static/x"],
)
def test_an_unknown_path_is_a_problem_not_a_page(shop: Shop, path: str) -> None:
    answer = shop.http.get(path)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert "/docs" in answer.json["detail"]


def test_head_and_options_answer_without_a_body(shop: Shop) -> None:
    for path in ("/healthz", "/api/v1/products", "/openapi.json"):
        head = shop.http.head(path)
        assert (head.status_code, head.data) == (200, b"")
    options = shop.http.options("/api/v1/search")
    assert (options.status_code, options.data) == (204, b"")
    assert set(options.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_every_answer_carries_safe_headers_and_the_requests_id(shop: Shop) -> None:
    for path, status in (("/healthz", 200), ("/nowhere", 404), ("/docs", 200)):
        answer = shop.http.get(path, headers={"X-Request-ID": "edge-17.a_b"})
        assert answer.status_code == status
        assert answer.headers["X-Request-ID"] == "edge-17.a_b"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert shop.http.get("/nowhere", headers={"X-Request-ID": "a"}).json["request_id"] == "a"


@pytest.mark.parametrize("inbound", ["", "x" * 65, "a b", "a\u00e9", '"><script>'])
def test_an_unusable_request_id_is_replaced(shop: Shop, inbound: str) -> None:
    made = shop.http.get("/healthz", headers={"X-Request-ID": inbound}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{16}", made)


def test_one_line_a_request_is_logged_without_keys_and_bodies(shop: Shop) -> None:
    with capture_logs() as lines:
        shop.http.post(
            "/api/v1/index-product?wait=0.01",
            json=product("secret-id"),
            headers={"Idempotency-Key": "secret-key"},
        )
    [line] = [line for line in lines if line.get("route") == "/api/v1/index-product"]
    assert line["event"] == "request"
    assert (line["method"], line["status"]) == ("POST", 202)
    assert line["ms"] > 0
    assert "secret" not in str(lines)
    assert shop.http.environ_base["HTTP_AUTHORIZATION"].split()[1] not in str(lines)


def test_an_unforeseen_error_tells_nothing_but_the_log(shop: Shop) -> None:
    shop.encoder.fault = ZeroDivisionError("secret")
    with capture_logs() as lines:
        answer = shop.http.get("/api/v1/search?q=never+asked+before")
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    [line] = [line for line in lines if line["event"] == "request_failed"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_the_description_is_valid_and_lists_every_route(shop: Shop, prefix: str) -> None:
    description = shop.http.get(f"{prefix}/openapi.json").json
    validate(description)
    described = {
        (method.upper(), path)
        for path, methods in description["paths"].items()
        for method in methods
    }
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in shop.http.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if "/docs/" not in rule.rule
    }
    twins = {(method, f"/api/v1{path}") for method, path in described if "/api/v1" not in path}
    assert served == described | twins


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_the_page_and_all_it_loads_come_from_here(shop: Shop, prefix: str) -> None:
    page = shop.http.get(f"{prefix}/docs")
    assert page.mimetype == "text/html"
    assert "//" not in page.text.replace("<!DOCTYPE html>", "")
    policy = page.headers["Content-Security-Policy"]
    assert "http" not in policy
    assert "script-src 'self';" in policy
    assert 'rel="icon" href="data:,"' in page.text  # or browsers would ask for /favicon.ico
    loaded = set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) - {"data:,"}
    assert "docs/swagger-ui-bundle.js" in loaded
    for name in loaded:
        asset = shop.http.get(f"{prefix}/{name}")
        assert asset.status_code == 200
        assert len(asset.data) > 50
    assert shop.http.get(f"{prefix}/docs/other.js").status_code == 404


def test_ready_when_all_parts_answer(shop: Shop) -> None:
    assert shop.http.get("/healthz").json == {"status": "ok"}
    answer = shop.http.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ready")
    assert answer.json["checks"] == {"redis": "ok", "qdrant": "ok", "embedding": "ok"}


def test_a_lost_ledger_shows_and_takes_no_process_out(shop: Shop) -> None:
    loss = shop.services.loss
    assert "ledger_lost" not in shop.http.get("/readyz").json["warnings"]
    assert "ledger_lost 0.0" in shop.http.get("/metrics").text
    loss.note_lost()
    answer = shop.http.get("/readyz")
    assert answer.status_code == 200
    assert "ledger_lost" in answer.json["warnings"]
    assert "ledger_lost 1.0" in shop.http.get("/metrics").text
    loss.note_all_known()
    assert "ledger_lost" not in shop.http.get("/readyz").json["warnings"]


def test_not_ready_names_the_parts_that_fail(make_shop: MakeShop) -> None:
    shop = make_shop(ledger_url="redis://127.0.0.1:9/0", qdrant_url="http://127.0.0.1:9")

    shop.encoder.fault = ZeroDivisionError()
    answer = shop.http.get("/readyz")
    assert (answer.status_code, answer.json["code"]) == (503, "not_ready")
    assert answer.json["failing"] == ["redis", "qdrant", "embedding"]
    assert shop.http.get("/healthz").status_code == 200


def test_a_frozen_part_does_not_hang_the_answer(
    shop: Shop, qdrant_server: EmbeddedQdrantProcess
) -> None:
    qdrant_server.send(signal.SIGSTOP)
    try:
        started = time.perf_counter()
        answer = shop.http.get("/readyz")
        took = time.perf_counter() - started
    finally:
        qdrant_server.send(signal.SIGCONT)
    assert answer.json["failing"] == ["qdrant"]
    assert took < 30


def test_metrics_count_requests_by_template_and_show_the_backlog(shop: Shop) -> None:
    shop.http.post("/api/v1/index-product", json=product("a"))
    shop.http.get("/api/v1/products/some-id")
    shop.http.get("/some/unknown/path")
    text = shop.http.get("/metrics").text
    assert 'ledger_pending{lane="single"} 1.0' in text
    assert "ledger_up 1.0" in text
    assert re.search(r"^ledger_oldest_due_seconds \d", text, re.M)
    route = 'route="/api/v1/products/<product_id:product_id>"'
    assert re.search(rf'http_requests_total{{method="GET",{route},status="404"}}', text)
    assert 'route="unmatched"' in text
    assert "some-id" not in text
    assert shop.tenant not in text


def test_metrics_go_on_without_the_ledger(make_shop: MakeShop) -> None:
    answer = make_shop(ledger_url="redis://127.0.0.1:9/0").http.get("/metrics")
    assert answer.status_code == 200
    assert "ledger_up 0.0" in answer.text
    assert "ledger_pending" not in answer.text
