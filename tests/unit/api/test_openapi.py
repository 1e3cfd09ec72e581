"""What the OpenAPI document says of bounds, however a search is sent."""

import pytest
from pydantic import TypeAdapter

from api.openapi.document import document
from api.openapi.parts import ProductsBody
from shared.models.patch import Patch
from shared.models.product import Product
from shared.models.search import SearchRequest

SCHEMAS = document(keys_needed=True)["components"]["schemas"]


def bounds(schema: dict[str, object]) -> dict[str, object]:
    """The bounds of a value that may be left out."""
    choices = [schema, *schema.get("anyOf", [])]  # type: ignore[misc]
    names = ("minimum", "maximum", "minLength", "maxLength")
    return {name: choice[name] for choice in choices for name in names if name in choice}


@pytest.mark.parametrize(("path", "fields"), [("/search", 8), ("/similar", 8)])
def test_a_search_by_url_is_bounded_as_one_in_json(path: str, fields: int) -> None:
    properties = SCHEMAS["SearchRequest"]["properties"]
    parameters = document(keys_needed=True)["paths"][f"/api/v1{path}"]["get"]["parameters"]
    assert len(parameters) == fields
    for parameter in parameters:
        if "schema" in parameter:
            name = {"q": "text_query"}.get(parameter["name"], parameter["name"])
            assert bounds(parameter["schema"]) == bounds(properties[name]), name


def test_bounds_that_json_schema_has_no_word_for_are_told_in_words() -> None:
    assert "2^53" in SCHEMAS["Product"]["properties"]["attributes"]["description"]
    asked = SCHEMAS["SearchRequest"]["properties"]["attributes"]["description"]
    assert all(bound in asked for bound in ("16", "64", "1,024", "2^53"))
    assert "ranking" in SCHEMAS["SearchResultsAnswer"]["description"]


def test_the_bodies_put_in_for_trying_a_request_out_are_good_as_they_stand() -> None:
    bodies = {body.__name__: body for body in (Product, ProductsBody, Patch, SearchRequest)}
    seen = set()
    for path in document(keys_needed=True)["paths"].values():
        for operation in path.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                named = content.get("examples", {}).values()
                for example in [content.get("example"), *(each["value"] for each in named)]:
                    if example is not None:
                        TypeAdapter(bodies[name]).validate_python(example)
                        seen.add(name)
    assert seen == set(bodies)


def test_json_comes_first_wherever_a_body_may_be_of_several_types() -> None:
    for path in document(keys_needed=True)["paths"].values():
        for operation in path.values():
            if "requestBody" in operation:
                assert next(iter(operation["requestBody"]["content"])) == "application/json"
