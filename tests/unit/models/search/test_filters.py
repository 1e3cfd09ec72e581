"""Filters: how they are read, and which products they admit."""

from typing import Any

import pytest

from shared.models.search.filters import Filters


def test_values_of_attributes_keep_their_kind() -> None:
    given = {"a": "red", "b": True, "c": 1, "d": 1.5, "e": ["1", 1, True, 0.5]}
    filters = Filters.model_validate({"attributes": given})
    assert {name: [repr(v) for v in values] for name, values in filters.attributes.items()} == {
        "a": ["'red'"],
        "b": ["True"],
        "c": ["1"],
        "d": ["1.5"],
        "e": ["'1'", "1", "True", "0.5"],
    }


def test_the_bounds_of_attributes_can_be_reached() -> None:
    values = [str(number) for number in range(64)]
    attributes = {str(number): values for number in range(16)}
    assert len(Filters.model_validate({"attributes": attributes}).attributes) == 16


FIELDS: dict[str, Any] = {
    "id": "hat",
    "name": "Hat",
    "image_url": "https://shop.example/hat.jpg",
    "category": "hats",
    "price": 20.0,
    "attributes": {"color": "red", "sizes": ["S", "M"], "shoe": 42, "sale": True},
}


@pytest.mark.parametrize(
    ("filters", "admitted"),
    [
        ({}, True),
        ({"category_filter": "hats"}, True),
        ({"category_filter": "shoes"}, False),
        ({"price_min": 20, "price_max": 20}, True),
        ({"price_min": 20.01}, False),
        ({"price_max": 19.99}, False),
        ({"attributes": {"color": "red"}}, True),
        ({"attributes": {"color": ["blue", "red"]}}, True),
        ({"attributes": {"color": "blue"}}, False),
        ({"attributes": {"sizes": "M"}}, True),
        ({"attributes": {"sizes": "L"}}, False),
        ({"attributes": {"shoe": 42.0}}, True),
        ({"attributes": {"shoe": "42"}}, False),
        ({"attributes": {"sale": True}}, True),
        ({"attributes": {"sale": 1}}, False),
        ({"attributes": {"shoe": True}}, False),
        ({"attributes": {"weight": 1}}, False),
        ({"attributes": {"color": "red", "sale": False}}, False),
    ],
)
def test_a_product_meets_all_conditions_or_is_not_admitted(
    filters: dict[str, Any], admitted: bool
) -> None:
    assert Filters(**filters).admits(FIELDS) is admitted


def test_a_product_without_a_price_is_within_no_bounds() -> None:
    fields = {**FIELDS, "price": None}
    assert Filters().admits(fields)
    assert not Filters(price_min=0).admits(fields)
    assert not Filters(price_max=100).admits(fields)
