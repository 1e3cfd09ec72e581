"""One tenant with another's ids, on every operation that the API describes."""

import json
import time
from pathlib import Path

import pytest

from api.access.keys import add_key
from api.app import described_app
from api.openapi.document import document
from tests.integration.api.conftest import MakeShop, Shop, product

SECRET = "ruby-nightgown"
"""In the id, name, category and group of what is not to be seen."""

PROTECTED = [
    (path, method, operation["operationId"])
    for path, methods in document(described_app(), keys_needed=True)["paths"].items()
    for method, operation in methods.items()
    if "security" in operation
]


def _bodies(victim: str) -> dict[str, dict[str, object]]:
    return {
        "indexProduct": product(victim, name="Mine"),
        "indexProducts": {"products": [product(victim, name="Mine")]},
        "patchProduct": {"price": 1},
        "search": {"product_id": victim},
    }


@pytest.mark.parametrize(("template", "method", "name"), PROTECTED)
def test_another_tenants_ids_lead_nowhere(
    make_shop: MakeShop, template: str, method: str, name: str
) -> None:
    owner, stranger = make_shop(), make_shop()
    fields = {"name": SECRET, "category": SECRET, "group_id": SECRET, "price": 30}
    queued = owner.http.post("/api/v1/index-product", json=product(SECRET, **fields)).json
    owner.work()
    failing = owner.http.post("/api/v1/index-product", json=product("f", **fields)).json
    owner.work(fail={"f": "image_unreachable"}, retryable=True)
    before = _state(owner, queued["job_id"], failing["job_id"])

    for job_id in (queued["job_id"], failing["job_id"]):
        path = template.format(product_id=SECRET, job_id=job_id)
        query = {"q": SECRET} if name.startswith("search") else {}
        if "similar" in path:
            query = {"product_id": SECRET}
        elif method == "post":
            query = {}
        body = _bodies(SECRET).get(name)
        if body is None and method == "post" and path.endswith("/search"):
            body = {"product_id": SECRET}
        answer = stranger.http.open(path, method=method.upper(), query_string=query, json=body)
        seen = json.dumps(answer.json)
        # A refusal may repeat what the stranger has sent, and nothing more.
        assert seen.replace(SECRET, "").count("nightgown") == 0
        if method == "get" or "{job_id}" in template or "search" in path:
            told = answer.status_code == 200 and any(answer.json.get(name) for name in SHOWN)
            assert answer.status_code in (200, 404)
            assert not told, seen
        else:
            assert answer.status_code in (202, 404)
            assert answer.json.get("job_id") not in (queued["job_id"], failing["job_id"])
        stranger.work()
    assert _state(owner, queued["job_id"], failing["job_id"]) == before


SHOWN = ("products", "jobs", "items", "results", "id", "job_id")


def _state(shop: Shop, *job_ids: str) -> object:
    """All that the tenant can see of its own."""
    paths = [
        "/api/v1/products",
        "/api/v1/jobs",
        f"/api/v1/products/{SECRET}?include=embedding",
        *(f"/api/v1/jobs/{job_id}" for job_id in job_ids),
        *(f"/api/v1/jobs/{job_id}/items" for job_id in job_ids),
    ]
    return [shop.http.get(path).json for path in paths]


def test_every_operation_that_asks_for_a_key_is_walked_over() -> None:
    assert len(PROTECTED) >= 13
    assert {path for path, _, _ in PROTECTED} >= {
        "/api/v1/products/{product_id}",
        "/api/v1/jobs/{job_id}",
        "/api/v1/jobs/{job_id}/retry",
        "/api/v1/similar",
    }


def test_a_withdrawn_key_ends_while_the_tenants_other_keys_go_on(
    shop: Shop,
    tmp_path: Path,
) -> None:
    file = tmp_path / "api-keys"
    first = shop.http.environ_base["HTTP_AUTHORIZATION"]
    second = f"Bearer {add_key(file, shop.tenant)}"
    time.sleep(1.05)

    def statuses() -> list[int]:
        return [
            shop.http.get("/api/v1/products", headers={"Authorization": key}).status_code
            for key in (first, second)
        ]

    assert statuses() == [200, 200]
    file.write_text(file.read_text().splitlines()[-1] + "\n")
    time.sleep(1.05)
    assert statuses() == [401, 200]
