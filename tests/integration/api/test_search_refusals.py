"""What a search refuses."""

from typing import Any

import pytest

from tests.integration.api.conftest import Shop

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "text_query", "missing"),
    ({"text_query": ""}, "text_query", "string_too_short"),
    ({"text_query": " \n"}, "text_query", "blank"),
    ({"text_query": "x" * 100_000}, "text_query", "string_too_long"),
    ({"text_query": 7}, "text_query", "string_type"),
    ({"text_query": "a", "top_k": -1}, "top_k", "greater_than_equal"),
    ({"text_query": "a", "top_k": 0}, "top_k", "greater_than_equal"),
    ({"text_query": "a", "top_k": 10**9}, "top_k", "less_than_equal"),
    ({"text_query": "a", "top_k": "10"}, "top_k", "int_type"),
    ({"text_query": "a", "top_k": True}, "top_k", "int_type"),
    ({"text_query": "a", "price_min": "1"}, "price_min", "number_type"),
    ({"text_query": "a", "price_min": 2, "price_max": 1}, "price_min", "price_range"),
    ({"text_query": "a", "category_filter": ""}, "category_filter", "string_too_short"),
    ({"text_query": "a", "category": "x"}, "category", "extra_forbidden"),
    ({"text_query": "a", "image_url": "http://a/b"}, "image_url", "extra_forbidden"),
]


@pytest.mark.parametrize(("body", "field", "code"), BAD)
def test_a_bad_search_is_refused_with_its_field_and_code(
    shop: Shop, body: dict[str, Any], field: str, code: str
) -> None:
    answer = shop.http.post("/api/v1/search", json=body)
    assert answer.status_code == 422
    assert [(f["field"], f["code"]) for f in answer.json["errors"]] == [(field, code)]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("", "q", "missing"),
        ("q=", "q", "string_too_short"),
        ("q=a&q=b", "q", "repeated"),
        ("text_query=a", "text_query", "extra_forbidden"),
        ("q=a&top_k=ten", "top_k", "int_type"),
        ("q=a&top_k=1.5", "top_k", "int_type"),
        ("q=a&top_k=101", "top_k", "less_than_equal"),
        ("q=a&price_max=nan", "price_max", "number_type"),
        ("q=a&price_max=-1", "price_max", "greater_than_equal"),
        ("q=a&color=red", "color", "extra_forbidden"),
    ],
)
def test_a_bad_search_in_a_url_names_the_parameter(
    shop: Shop, query: str, field: str, code: str
) -> None:
    answer = shop.http.get(f"/api/v1/search?{query}")
    assert answer.status_code == 422
    assert [(f["field"], f["code"]) for f in answer.json["errors"]] == [(field, code)]
