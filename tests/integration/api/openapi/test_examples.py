"""Whatever /docs puts in for trying a request out works as it stands, on the demo's catalogue."""

import base64
import io
import json
from typing import Any

import pytest

from api.app import described_app
from api.openapi.document import document
from demo.catalogue import catalogue
from shared.models.change import Lane
from tests.integration.api.conftest import Shop

FORM = "multipart/form-data"
PATHS: dict[str, dict[str, Any]] = document(described_app(), keys_needed=True)["paths"]


def _parameters(operation: dict[str, Any], where: str) -> dict[str, str | list[str]]:
    """What the page fills in before anybody does."""
    filled: dict[str, str | list[str]] = {}
    for parameter in operation["parameters"]:
        if parameter["in"] == where:
            schema = parameter.get("schema", {})
            content = parameter.get("content", {}).get("application/json", {})
            value = parameter.get("example", schema.get("default", content.get("example")))
            if value is not None:
                # Lists are sent by repeating the parameter.
                sent = value if isinstance(value, str | list) else json.dumps(value)
                filled[parameter["name"]] = sent
    return filled


def _examples() -> list[Any]:
    cases = []
    for path, methods in PATHS.items():
        for method, operation in methods.items():
            if "{job_id}" in path:
                continue  # no job is known beforehand
            contents = operation.get("requestBody", {}).get("content", {})
            bodies: list[tuple[str | None, Any]] = [
                (media_type, value)
                for media_type, content in contents.items()
                for value in [
                    *([content["example"]] if "example" in content else []),
                    *(each["value"] for each in content.get("examples", {}).values()),
                ]
            ]
            for media_type, value in bodies or [(None, None)]:
                name = f"{operation['operationId']}-{media_type}-{len(cases)}"
                cases.append(pytest.param((path, method, operation), media_type, value, id=name))
    return cases


@pytest.fixture
def demo_shop(shop: Shop) -> Shop:
    products = [entry.product for entry in catalogue(5, "http://127.0.0.1:1")]
    shop.http.post("/api/v1/index-products", json={"products": products})
    shop.work()
    return shop


@pytest.mark.parametrize(("asked", "media_type", "value"), _examples())
def test_every_example_works_and_leaves_the_demos_pictures_alone(
    demo_shop: Shop,
    asked: tuple[str, str, dict[str, Any]],
    media_type: str | None,
    value: Any,
) -> None:
    path, method, operation = asked
    before = demo_shop.http.get("/api/v1/products").json["products"]
    answer = demo_shop.http.open(
        path.format(**_parameters(operation, "path")),
        method=method.upper(),
        query_string=_parameters(operation, "query"),
        data=None if value is None else json.dumps(value),
        content_type=media_type,
    )
    assert 200 <= answer.status_code < 300, answer.text
    if path.endswith("/search"):
        assert answer.json["results"]
    claim = demo_shop.services.ledger.claim(list(Lane), 10)
    replaced = {wanted.product_id for wanted in claim.wanted if not wanted.deltas}
    assert not replaced & {product["id"] for product in before}


def test_a_form_with_a_picture_and_all_else_as_the_page_has_it_finds_products(
    demo_shop: Shop,
) -> None:
    content = PATHS["/api/v1/search"]["post"]["requestBody"]["content"]
    fields = {
        name: schema["examples"][0]
        for name, schema in content[FORM]["schema"]["properties"].items()
        if name != "image"
    }
    searches = content["application/json"]["examples"]
    picture = searches["picture"]["value"]["image_base64"]
    file = (io.BytesIO(base64.b64decode(picture)), "shirt.png")
    answer = demo_shop.http.post(
        "/api/v1/search", data={**fields, "image": file}, content_type=FORM
    )
    assert (answer.status_code, answer.json["query_type"]) == (200, "image")
    assert answer.json["results"]
