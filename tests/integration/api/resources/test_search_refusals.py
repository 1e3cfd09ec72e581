"""What a search refuses."""

import io
from typing import Any

import pytest

from tests.integration.api.conftest import Shop

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"match": "words"}, "match", "words_alone"),
    ({"match": "words", "text_query": "a", "product_id": "p"}, "match", "words_alone"),
    ({"match": "sounds", "text_query": "a"}, "match", "literal_error"),
    ({"sort": "cheapest"}, "sort", "literal_error"),
    ({"cutoff": 0.5}, "cutoff", "literal_error"),
    ({"group": "yes"}, "group", "bool_type"),
    ({"facets": ["colour"]}, "facets", "facet_unknown"),
    ({"facets": ["attributes."]}, "facets", "facet_unknown"),
    ({"facets": [7]}, "facets", "facet_unknown"),
    ({"facets": [[]]}, "facets", "facet_unknown"),
    ({"facets": {"brand": 1}}, "facets", "facet_unknown"),
    ({"facets": [f"attributes.a{number}" for number in range(11)]}, "facets", "facet_count"),
    ({"offset": 10_001}, "offset", "less_than_equal"),
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
    ({"text_query": "a", "image": "x"}, "image", "extra_forbidden"),
    ({"text_query": "a", "offset": -1}, "offset", "greater_than_equal"),
    ({"text_query": "a", "offset": 1001}, "offset", "offset_too_high"),
    ({"text_query": "a", "offset": True}, "offset", "int_type"),
    ({"text_query": "a", "min_score": 1.01}, "min_score", "less_than_equal"),
    ({"text_query": "a", "min_score": -2}, "min_score", "greater_than_equal"),
    ({"text_query": "a", "min_score": "0.3"}, "min_score", "number_type"),
    ({"text_query": "a", "min_score": True}, "min_score", "number_type"),
    ({"text_query": "a", "attributes": ["color"]}, "attributes", "dict_type"),
    ({"text_query": "a", "attributes": {"color": None}}, "attributes.color", "attribute_type"),
    ({"text_query": "a", "attributes": {"color": {"a": 1}}}, "attributes.color", "attribute_range"),
    ({"text_query": "a", "attributes": {"color": [["a"]]}}, "attributes.color", "attribute_type"),
    ({"text_query": "a", "attributes": {"n": 2**53}}, "attributes.n", "attribute_type"),
    ({"text_query": "a", "attributes": {"c": "x" * 1025}}, "attributes.c", "attribute_type"),
    ({"text_query": "a", "attributes": {"color": []}}, "attributes.color", "value_count"),
    ({"text_query": "a", "attributes": {"color": ["a"] * 65}}, "attributes.color", "value_count"),
    ({"text_query": "a", "attributes": {'5" heel': "a"}}, 'attributes.5" heel', "quote_in_name"),
    ({"text_query": "a", "attributes": {"a\\b": "a"}}, "attributes.a\\b", "backslash_in_name"),
    ({"text_query": "a", "attributes": {"": "a"}}, "attributes.", "string_too_short"),
    (
        {"text_query": "a", "attributes": {str(number): "a" for number in range(17)}},
        "attributes",
        "too_long",
    ),
    ({"image_url": "ftp://a/b"}, "image_url", "invalid_url"),
    ({"image_url": "http://a/" + "b" * 2000}, "image_url", "string_too_long"),
    ({"image_base64": 7}, "image_base64", "bytes_type"),
    ({"image_base64": "data:image/png;base64,AAAA"}, "image_base64", "base64_data_url"),
    ({"image_base64": "AAA"}, "image_base64", "base64_invalid"),
    ({"image_base64": "AA\nAA"}, "image_base64", "base64_invalid"),
    ({"image_base64": "AA-_"}, "image_base64", "base64_invalid"),
    ({"image_base64": "é"}, "image_base64", "base64_invalid"),
    ({"product_id": ""}, "product_id", "string_too_short"),
    ({"product_id": "a\u0000b"}, "product_id", "control_character"),
    ({"product_id": "x" * 129}, "product_id", "string_too_long"),
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
        ("q=a&q=b", "q", "repeated"),
        ("q=a&text_query=a", "text_query", "extra_forbidden"),
        ("q=a&top_k=ten", "top_k", "int_type"),
        ("q=a&top_k=1.5", "top_k", "int_type"),
        ("q=a&top_k=101", "top_k", "less_than_equal"),
        ("q=a&offset=1001", "offset", "offset_too_high"),
        ("match=words", "match", "words_alone"),
        ("facets=brand&facets=colour", "facets", "facet_unknown"),
        ("q=a&price_max=nan", "price_max", "number_type"),
        ("q=a&price_max=-1", "price_max", "greater_than_equal"),
        ("q=a&color=red", "color", "extra_forbidden"),
        ("q=a&product_id=b", "product_id", "extra_forbidden"),
        ("q=a&min_score=2", "min_score", "less_than_equal"),
        ("q=a&min_score=inf", "min_score", "number_type"),
        ("q=a&offset=x", "offset", "int_type"),
        ("q=a&attributes=red", "attributes", "dict_type"),
        ("q=a&attributes=%7B%22color%22:null%7D", "attributes.color", "attribute_type"),
    ],
)
def test_a_bad_search_in_a_url_names_the_parameter(
    shop: Shop, query: str, field: str, code: str
) -> None:
    answer = shop.http.get(f"/api/v1/search?{query}")
    assert answer.status_code == 422
    assert [(f["field"], f["code"]) for f in answer.json["errors"]] == [(field, code)]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("", "product_id", "missing"),
        ("product_id=", "product_id", "missing"),
        ("product_id=a&product_id=b", "product_id", "repeated"),
        ("product_id=a&q=b", "q", "extra_forbidden"),
        ("product_id=a&top_k=0", "top_k", "greater_than_equal"),
    ],
)
def test_a_bad_question_for_similar_products_names_the_parameter(
    shop: Shop, query: str, field: str, code: str
) -> None:
    answer = shop.http.get(f"/api/v1/similar?{query}")
    assert answer.status_code == 422
    assert [(f["field"], f["code"]) for f in answer.json["errors"]] == [(field, code)]


_EMPTY = ("top_k", "offset", "min_score", "price_min", "price_max", "category_filter", "attributes")


def test_an_empty_field_of_a_url_or_a_form_is_an_absent_one(shop: Shop) -> None:
    empty = "".join(f"&{name}=" for name in _EMPTY)
    assert shop.http.get(f"/api/v1/search?q=red{empty}").json["top_k"] == 10
    assert shop.http.get(f"/api/v1/similar?product_id=no{empty}").status_code == 404
    fields = dict.fromkeys((*_EMPTY, "image_url", "product_id"), "")
    # As a browser sends a form whose file nobody chose.
    nothing_chosen = (io.BytesIO(b""), "")
    form = {"text_query": "red", **fields, "image": nothing_chosen}
    answer = shop.http.post("/api/v1/search", data=form, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["query_type"]) == (200, "text")
    form = {"text_query": "", **fields}
    answer = shop.http.post("/api/v1/search", data=form, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["query_type"]) == (200, "browse")
    # JSON can leave a field out, or say null.
    answer = shop.http.post("/api/v1/search", json={"text_query": "red", "price_max": ""})
    assert answer.status_code == 422


def test_a_slip_in_a_name_is_told_what_it_is_near_to(shop: Shop) -> None:
    document = {"text_query": "red", "price_mxa": 3}
    for answer, near in (
        (shop.http.post("/api/v1/search", json=document), "price_max"),
        (shop.http.get("/api/v1/search?q=red&topk=3"), "top_k"),
        (shop.http.get("/api/v1/similar?productid=a"), "product_id"),
        (shop.http.get("/api/v1/products?limt=3"), "limit"),
    ):
        messages = [fault["message"] for fault in answer.json["errors"]]
        assert f"is not a known field; did you mean {near}?" in messages
