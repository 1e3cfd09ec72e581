"""Facets, sorts, groups and browsing, as JSON, as a URL and as a form ask for them."""

import json
from typing import Any

import pytest

from tests.integration.api.conftest import Shop, product


@pytest.fixture
def catalogue(shop: Shop) -> Shop:
    """Two sizes of a red shirt, a blue one that can't be bought, and a hat."""
    for fields in (
        {"product_id": "red-s", "name": "Red Shirt", "price": 20, "group_id": "red"},
        {"product_id": "red-m", "name": "Red Shirt", "price": 22, "group_id": "red"},
        {"product_id": "blue", "name": "Blue Shirt", "price": 30, "availability": "out_of_stock"},
        {"product_id": "hat", "name": "Straw hat", "price": 9, "sale_price": 7},
    ):
        colour = str(fields["name"]).split()[0].lower()
        body = product(**fields, brand="Acme", attributes={"color": colour})
        assert shop.http.post("/api/v1/index-product", json=body).status_code == 202
    shop.work()
    return shop


ASKED: dict[str, Any] = {
    "text_query": "shirt",
    "match": "words",
    "sort": "price_desc",
    "facets": ["attributes.color", "price", "availability"],
    "attributes": {"color": ["red", "blue"]},
    "explain": True,
}


def test_an_answer_tells_totals_facets_and_variants(catalogue: Shop) -> None:
    answer = catalogue.http.post("/api/v1/search", json=ASKED).json
    assert (answer["total_results"], answer["total_relation"]) == (2, "eq")
    assert (answer["counts"], answer["degraded"], answer["corrected"]) == ("products", [], {})
    assert [(hit["product_id"], hit["variants"]) for hit in answer["results"]] == [
        ("blue", 1),
        ("red-m", 2),
    ]
    assert answer["results"][0]["matched"] == ["words"]
    assert answer["results"][0]["explanation"]["words_weight"] == 1
    assert answer["facets"] == {
        "attributes.color": {
            "values": [{"value": "blue", "count": 1}, {"value": "red", "count": 1}],
            "relation": "eq",
        },
        "price": {
            "min": 20,
            "max": 30,
            "ranges": [
                {"min": 20, "max": 20, "count": 1},
                {"min": 22, "max": 22, "count": 1},
                {"min": 30, "max": 30, "count": 1},
            ],
            "relation": "eq",
        },
        "availability": {
            "values": [{"value": "in_stock", "count": 1}, {"value": "out_of_stock", "count": 1}],
            "relation": "eq",
        },
    }


def test_a_url_and_a_form_ask_for_lists_by_repeating_a_name(catalogue: Shop) -> None:
    attributes = json.dumps(ASKED["attributes"])
    scalars = {"match": "words", "sort": "price_desc", "explain": "true", "attributes": attributes}
    by_json = catalogue.http.post("/api/v1/search", json=ASKED).json
    query = {**scalars, "q": "shirt", "facets": ASKED["facets"]}
    by_url = catalogue.http.get("/api/v1/search", query_string=query).json
    form = {**scalars, "text_query": "shirt", "facets": ASKED["facets"]}
    by_form = catalogue.http.post(
        "/api/v1/search", data=form, content_type="multipart/form-data"
    ).json
    for answer in (by_url, by_form):
        assert answer.pop("cached")
        assert answer.pop("execution_time_ms") >= 0
        assert answer.items() <= by_json.items()


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (None, {"hat", "blue", "red-m"}),
        ("price_asc", ["hat", "red-m", "blue"]),
        ("name", ["blue", "red-m", "hat"]),
    ],
)
def test_without_a_source_the_whole_catalogue_is_browsed(
    catalogue: Shop, sort: str | None, expected: Any
) -> None:
    answers = [
        catalogue.http.post("/api/v1/search", json={"sort": sort}).json,
        catalogue.http.get("/api/v1/search", query_string={"sort": sort or ""}).json,
    ]
    for answer in answers:
        assert (answer["query_type"], answer["total_results"]) == ("browse", 3)
        found = [hit["product_id"] for hit in answer["results"]]
        assert (set(found) if sort is None else found) == expected
        assert "explanation" not in answer["results"][0]


def test_similar_products_have_facets_too(catalogue: Shop) -> None:
    answer = catalogue.http.get("/api/v1/similar?product_id=hat&facets=brand&facets=price").json
    assert (answer["query_type"], answer["total_results"]) == ("product", 2)
    assert answer["facets"]["brand"]["values"] == [{"value": "Acme", "count": 2}]


def test_answers_of_one_state_have_one_generation(catalogue: Shop) -> None:
    ask = catalogue.http.get
    generations = {ask(f"/api/v1/search?q={word}").json["generation"] for word in ("a", "b", "")}
    assert len(generations) == 1
    catalogue.http.post("/api/v1/index-product", json=product("new"))
    catalogue.work()
    assert ask("/api/v1/search").json["generation"] not in generations
