"""The OpenAPI document: complete, plain, and in step with the code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from pydantic import TypeAdapter

from api.app import described_app
from api.openapi.describe import Operation, json_answer, routes_of
from api.openapi.document import Undescribed, document
from api.openapi.examples import PICTURES
from api.openapi.page import DocumentationResource
from api.resources.indexing import ProductsBody
from shared.models.patch import Patch
from shared.models.product import Product
from shared.models.search.requests import SearchRequest

DOCUMENT = document(described_app(), keys_needed=True)
SCHEMAS = DOCUMENT["components"]["schemas"]


def bounds(schema: dict[str, object]) -> dict[str, object]:
    """The bounds of a value that may be left out."""
    choices = [schema, *schema.get("anyOf", [])]  # type: ignore[misc]
    choices += [choice["items"] for choice in choices if "items" in choice]
    names = ("minimum", "maximum", "minLength", "maxLength")
    return {name: choice[name] for choice in choices for name in names if name in choice}


@pytest.mark.parametrize(("path", "fields"), [("/search", 16), ("/similar", 15)])
def test_a_search_by_url_is_bounded_as_one_in_json(path: str, fields: int) -> None:
    properties = SCHEMAS["SearchRequest"]["properties"]
    parameters = DOCUMENT["paths"][f"/api/v1{path}"]["get"]["parameters"]
    assert len(parameters) == fields
    for parameter in parameters:
        if "schema" in parameter:
            name = {"q": "text_query"}.get(parameter["name"], parameter["name"])
            assert bounds(parameter["schema"]) == bounds(properties[name]), name


def test_bounds_that_json_schema_has_no_word_for_are_told_in_words() -> None:
    assert "2^53" in SCHEMAS["Product"]["properties"]["attributes"]["description"]
    asked = SCHEMAS["SearchRequest"]["properties"]["attributes"]["description"]
    assert all(bound in asked for bound in ("16", "64", "1,024", "2^53"))
    assert "result set" in SCHEMAS["SearchResultsAnswer"]["properties"]["cached"]["description"]


def test_the_bodies_put_in_for_trying_a_request_out_are_good_as_they_stand() -> None:
    bodies = {body.__name__: body for body in (Product, ProductsBody, Patch, SearchRequest)}
    seen = set()
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                named = content.get("examples", {}).values()
                for example in [content.get("example"), *(each["value"] for each in named)]:
                    if example is not None:
                        TypeAdapter(bodies[name]).validate_python(example)
                        seen.add(name)
    assert seen == set(bodies)


def test_the_page_puts_a_picture_of_the_catalogue_into_every_example_with_a_pictures_url() -> None:
    app = Flask("page", static_folder=None)
    app.register_blueprint(routes_of(DocumentationResource(keys_needed=False)))
    script = app.test_client().get("/docs/start.js").text
    assert f'"{PICTURES}/"' in script
    urls = re.findall(r'"image_url": "([^"]+)"', json.dumps(DOCUMENT["paths"]))
    assert len(urls) >= 3
    assert all(url.startswith(f"{PICTURES}/") for url in urls)


def test_json_comes_first_wherever_a_body_may_be_of_several_types() -> None:
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            if "requestBody" in operation:
                assert next(iter(operation["requestBody"]["content"])) == "application/json"


def test_docs_hold_the_document_as_the_code_makes_it() -> None:
    held = json.loads((Path(__file__).parents[4] / "docs" / "openapi.json").read_text())
    assert held == json.loads(json.dumps(DOCUMENT)), "renew it: make openapi"


def test_every_operation_parameter_and_field_is_described() -> None:
    assert list(_undescribed()) == []


def _undescribed() -> Iterator[str]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if not (operation["summary"] and operation.get("description")):
                yield f"{method} {path}"
            for parameter in operation["parameters"]:
                if not parameter.get("description"):
                    yield f"{method} {path} {parameter['name']}"
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield from _fields_undescribed(path, content["schema"])
    for name, schema in SCHEMAS.items():
        yield from _fields_undescribed(name, schema)


def _fields_undescribed(name: str, schema: dict[str, Any]) -> Iterator[str]:
    if not ("$ref" in schema or schema.get("description")):
        yield name
    for field, described in schema.get("properties", {}).items():
        if not described.get("description"):
            yield f"{name}.{field}"


class MadeUpResource:
    """An endpoint that is nothing but this class."""

    @Operation("GET", "/made-up/<name>", {200: json_answer("It is.", Product)}, is_open=True)
    def read_made_up(self, name: str) -> Response:
        """Read what is made up.

        For this test.
        """
        return Response(name)


def test_an_endpoint_is_described_by_its_own_class_alone() -> None:
    app = Flask("made_up", static_folder=None)
    app.register_blueprint(routes_of(MadeUpResource()), url_prefix="/api/v1")
    described = document(app, keys_needed=False)
    operation = described["paths"]["/api/v1/made-up/{name}"]["get"]
    assert (operation["operationId"], operation["tags"]) == ("readMadeUp", ["Madeup"])
    assert (operation["summary"], operation["description"]) == (
        "Read what is made up",
        "For this test.",
    )
    assert [each["name"] for each in operation["parameters"]] == ["name"]
    assert "Product" in described["components"]["schemas"]
    assert app.test_client().get("/api/v1/made-up/x").text == "x"


def test_a_view_that_says_nothing_of_itself_is_refused() -> None:
    app = described_app()
    app.add_url_rule("/silent", "silent", lambda: "x")
    with pytest.raises(Undescribed, match="silent"):
        document(app, keys_needed=True)
