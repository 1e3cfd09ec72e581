"""Faults in plain words."""

import pytest

from api.requests.batch import read_product
from api.requests.validation import MAX_FAULTS, Invalid, unknown_field, validated
from shared.models.patch import Patch
from shared.models.product import Product
from shared.models.search.requests import SearchRequest

GOOD = {"id": "a", "name": "A", "image_url": "http://shop.example/a.jpg"}


def _faults(data: object) -> list[tuple[str, str, str]]:
    with pytest.raises(Invalid) as caught:
        read_product(data)
    return [(f["field"], f["code"], f["message"]) for f in caught.value.faults]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": None}, ("name", "string_type", "must not be null")),
        ({"image_url": None}, ("image_url", "string_type", "must not be null")),
        ({"attributes": None}, ("attributes", "dict_type", "must not be null")),
        ({"attributes": {"a": None}}, ("attributes.a", "attribute_type", "must not be null")),
        ({"name": 1}, ("name", "string_type", "must be a valid string")),
        (
            {"additional_image_urls": [None]},
            ("additional_image_urls", "url_type", "must be a list of URLs"),
        ),
        ({"name": ""}, ("name", "string_too_short", "must have at least 1 character")),
        ({"price": "1"}, ("price", "number_type", "must be a number")),
        (
            {"price": -1},
            ("price", "greater_than_equal", "must be greater than or equal to 0"),
        ),
        ({"colour": "red"}, ("colour", "extra_forbidden", "is not a known field")),
        ({"prcie": 1}, ("prcie", "extra_forbidden", "is not a known field; did you mean price?")),
        (
            {"imageUrl": 1},
            ("imageUrl", "extra_forbidden", "is not a known field; did you mean ima"),
        ),
        (
            {"attributes": {"a": [1]}},
            (
                "attributes.a",
                "attribute_type",
                "must be a string, a number, a boolean or a list of strings",
            ),
        ),
        (
            {"attributes": {"a": "x" * 1025}},
            ("attributes.a", "string_too_long", "must have at most 1024 characters"),
        ),
        ({"attributes": {"a.b": {}}}, ("attributes.a·b", "attribute_type", "")),
        ({"attributes": {"": 1}}, ("attributes.", "string_too_short", "")),
        (
            {"embedding": []},
            (
                "embedding",
                "embedding_not_accepted",
                "leave it out: the service computes it from image_url",
            ),
        ),
        ({"x" * 10_000: 1}, ("x" * 200, "extra_forbidden", "is not a known field")),
    ],
)
def test_each_fault_is_named_once_by_its_field(
    change: dict[str, object], expected: tuple[str, str, str]
) -> None:
    [(field, code, message)] = _faults({**GOOD, **change})
    assert (field, code) == expected[:2]
    assert message.startswith(expected[2])


@pytest.mark.parametrize("data", [None, [], "a", 7, True])
def test_what_is_no_object_is_called_so(data: object) -> None:
    assert _faults(data) == [("", "model_type", "must be a JSON object")]


def test_an_embedding_does_not_hide_other_faults() -> None:
    codes = {field: code for field, code, _ in _faults({**GOOD, "embedding": [], "price": -1})}
    assert codes == {"embedding": "embedding_not_accepted", "price": "greater_than_equal"}


def test_garbage_is_not_answered_with_a_longer_list() -> None:
    assert len(_faults({**GOOD, **{f"x{n}": 1 for n in range(50)}})) == MAX_FAULTS
    [fault] = _faults({f"x{n}": 1 for n in range(100_000)})
    assert fault[:2] == ("", "too_many_fields")


def test_of_much_garbage_little_is_compared_with_known_fields() -> None:
    names = {f"pric{n}": 1 for n in range(20)}
    told = [message for _, _, message in _faults({**GOOD, **names})]
    assert sum("price" in message for message in told) == 3
    assert len(told) == 20


def test_a_long_name_is_near_to_nothing() -> None:
    long = "price" * 13
    assert "did you mean" in unknown_field("price", ("price",))["message"]
    assert "did you mean" not in unknown_field(long, (long,))["message"]


def test_crowded_attributes_do_not_hide_other_faults() -> None:
    data = {**GOOD, "price": -1, "attributes": {str(n): None for n in range(65)}}
    assert [fault[:2] for fault in _faults(data)] == [
        ("attributes", "too_long"),
        ("price", "greater_than_equal"),
    ]
    full = {**GOOD, "attributes": {str(n): n for n in range(64)}}
    assert len(read_product(full).attributes) == 64


def test_a_rule_over_two_fields_names_one_of_them() -> None:
    with pytest.raises(Invalid) as caught:
        validated(SearchRequest, {"text_query": "a", "price_min": 2, "price_max": 1})
    [fault] = caught.value.faults
    assert (fault["field"], fault["code"]) == ("price_min", "price_range")


def test_what_is_good_comes_back_as_a_model() -> None:
    assert validated(Product, GOOD).id == "a"


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"image_url": "http://h/y"}, "image_url"),
        ({"version": 3, "price": 1}, "version"),
        ({"id": "q"}, "id"),
        ({"name": None}, "name"),
        ({"created_at": 1700000000}, "created_at"),
        ({}, ""),
    ],
)
def test_what_no_patch_may_change_is_named_as_the_field(
    patch: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        validated(Patch, patch)
    (fault,) = caught.value.faults
    assert fault["field"] == field
    assert not fault["message"].startswith(f"{field}:")


@pytest.mark.parametrize(
    ("name", "known", "here"),
    [
        ("query", ("text_query", "image_url"), "text_query"),
        ("text", ("q", "top_k"), "q"),
        ("file", ("text_query", "image"), "image"),
        ("image_base64", ("text_query", "image"), "image"),
        ("image", ("id", "name", "image_url"), "image_url"),
        ("limit", ("q", "top_k"), "top_k"),
        ("title", ("id", "name"), "name"),
    ],
)
def test_a_name_that_others_use_leads_to_the_field_that_is_meant(
    name: str, known: tuple[str, ...], here: str
) -> None:
    assert unknown_field(name, known)["message"] == f"is called {here} here"


def test_a_name_that_others_use_leads_nowhere_if_no_such_field_is_there() -> None:
    assert unknown_field("query", ("id", "price"))["message"] == "is not a known field"
