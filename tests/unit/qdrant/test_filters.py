"""Our conditions as Qdrant filters, without a server."""

from typing import Any

import pytest

from shared.errors import QdrantRejected
from shared.models.product import point_id
from shared.models.search import Filters
from shared.qdrant import filters
from shared.qdrant.collection import payload_indexes
from shared.qdrant.points import Tombstone

TENANT = {"key": "tenant", "match": {"value": "shop"}}
CATEGORY = {"key": "category", "match": {"value": "hats"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Filters(), []),
        (Filters(category_filter="hats"), [CATEGORY]),
        (Filters(price_min=0), [{"key": "price", "range": {"gte": 0.0}}]),
        (Filters(price_max=9.5), [{"key": "price", "range": {"lte": 9.5}}]),
        (
            Filters(category_filter="hats", price_min=1, price_max=2),
            [CATEGORY, {"key": "price", "range": {"gte": 1.0, "lte": 2.0}}],
        ),
        (
            Filters(attributes={"size": 42, "color": "red"}),
            [
                {"key": "attributes.color", "match": {"any": ["red"]}},
                {"key": "attributes.size", "range": {"gte": 42.0, "lte": 42.0}},
            ],
        ),
        (
            Filters(attributes={"sale": True}),
            [{"key": "attributes.sale", "match": {"value": True}}],
        ),
        (
            Filters(attributes={"shoe size": ["a", 1, "b", 1.5, False]}),
            [
                {
                    "should": [
                        {"key": 'attributes."shoe size"', "match": {"any": ["a", "b"]}},
                        {"key": 'attributes."shoe size"', "range": {"gte": 1.0, "lte": 1.0}},
                        {"key": 'attributes."shoe size"', "range": {"gte": 1.5, "lte": 1.5}},
                        {"key": 'attributes."shoe size"', "match": {"value": False}},
                    ]
                }
            ],
        ),
    ],
)
def test_a_search_always_asks_for_its_tenant(
    given: Filters, expected: list[dict[str, Any]]
) -> None:
    assert filters.of_search("shop", given) == {"must": [TENANT, *expected]}


def test_a_group_is_left_out_where_asked() -> None:
    assert filters.of_search("shop", Filters(category_filter="hats"), "g") == {
        "must": [TENANT, CATEGORY],
        "must_not": [{"key": "group_id", "match": {"value": "g"}}],
    }


def test_a_listing_asks_for_the_tenant_and_the_category() -> None:
    assert filters.of_tenant("shop") == {"must": [TENANT]}
    assert filters.of_tenant("shop", "hats") == {"must": [TENANT, CATEGORY]}


def test_each_write_replaces_only_what_is_older_than_itself() -> None:
    rev = 1_795_000_000_000_001
    condition = filters.older_than([Tombstone("shop", "a", rev), Tombstone("shop", "b", 2)])
    assert condition == {
        "should": [
            {
                "must": [
                    {"has_id": [point_id("shop", "a")]},
                    {"key": "rev", "range": {"lt": rev}},
                ]
            },
            {"must": [{"has_id": [point_id("shop", "b")]}, {"key": "rev", "range": {"lt": 2.0}}]},
        ]
    }
    assert int(float(rev)) == rev


def test_only_tombstones_are_purged() -> None:
    assert filters.tombstones_before(7) == {
        "must": [{"key": "rev", "range": {"lt": 7.0}}],
        "must_not": [{"is_empty": {"key": "tombstone_of"}}],
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("color", "attributes.color"),
        ("shoe-size_2", "attributes.shoe-size_2"),
        ("shoe size", 'attributes."shoe size"'),
        ("a.b", 'attributes."a.b"'),
        ("sizes[]", 'attributes."sizes[]"'),
        ("größe", 'attributes."größe"'),
    ],
)
def test_an_attribute_that_the_path_syntax_would_misread_is_quoted(name: str, path: str) -> None:
    assert filters.attribute_path(name) == path
    assert path in payload_indexes([name])


@pytest.mark.parametrize(("name", "what"), [('5" heels', "quote"), ("a\\b", "backslash")])
def test_an_attribute_that_no_path_can_name_is_refused(name: str, what: str) -> None:
    with pytest.raises(QdrantRejected, match=what):
        filters.attribute_path(name)
