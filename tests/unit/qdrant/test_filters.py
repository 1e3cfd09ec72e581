"""Our conditions as Qdrant filters, without a server."""

from typing import Any

import pytest

from shared.errors import QdrantRejected
from shared.models.product import point_id
from shared.models.search.filters import Filters
from shared.models.terms import MARK
from shared.qdrant import filters
from shared.qdrant.collection import payload_indexes
from shared.qdrant.points import Tombstone

TENANT = {"key": "tenant", "match": {"value": "shop"}}


def one_of(*terms: str) -> dict[str, Any]:
    match = {"any": list(terms)} if len(terms) > 1 else {"value": terms[0]}
    return {"key": "terms", "match": match}


CATEGORY = one_of("category\thats")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Filters(), []),
        (Filters(category_filter="hats"), [CATEGORY]),
        (Filters(price_min=0), [{"key": "paid_price", "range": {"gte": 0.0}}]),
        (Filters(price_max=9.5), [{"key": "paid_price", "range": {"lte": 9.5}}]),
        (
            Filters(category_filter="hats", price_min=1, price_max=2),
            [CATEGORY, {"key": "paid_price", "range": {"gte": 1.0, "lte": 2.0}}],
        ),
        (
            Filters(attributes={"size": 42, "color": "red"}),
            [
                one_of("attributes\tcolor\tstring\tred"),
                one_of("attributes\tsize\tnumber\t42"),
            ],
        ),
        (
            Filters(attributes={"sale": True}),
            [one_of("attributes\tsale\tboolean\ttrue")],
        ),
        (
            Filters(attributes={"shoe size": ["b", 1, "a", 1.5, False, 1.0, "B"]}),
            [
                {
                    "must_not": [
                        {
                            "must_not": [
                                one_of(
                                    "attributes\tshoe size\tboolean\tfalse",
                                    "attributes\tshoe size\tnumber\t1",
                                    "attributes\tshoe size\tnumber\t1.5",
                                    "attributes\tshoe size\tstring\ta",
                                    "attributes\tshoe size\tstring\tb",
                                )
                            ]
                        }
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


def test_each_condition_is_one_whatever_its_values_are() -> None:
    values = [*range(21), *(n + 0.5 for n in range(21)), *map(str, range(20)), True, False]
    attributes = {f"name {number}": values for number in range(16)}
    must = filters.of_search("shop", Filters(attributes=attributes, category_filter="a"))["must"]
    assert len(must) == 18
    innermost = [each["must_not"][0]["must_not"] for each in must if "must_not" in each]
    assert [len(conditions) for conditions in innermost] == [1] * 16
    assert {condition["key"] for (condition,) in innermost} == {"terms"}


def test_while_products_lack_terms_both_kinds_are_looked_for() -> None:
    given = Filters(
        category_filter="Hats",
        brand_filter="A",
        in_stock=True,
        price_min=5,
        attributes={"Color": ["Red", 1], "n": {"lt": 3}},
    )
    asked = filters.of_search("shop", given, all_have_terms=False)["must"]
    of_today = [
        CATEGORY,
        one_of("brand\ta"),
        one_of("availability\tin_stock"),
        {"key": "paid_price", "range": {"gte": 5}},
        one_of("attributes\tColor\tnumber\t1", "attributes\tColor\tstring\tred"),
        {"key": "attributes.n", "range": {"lt": 3}},
    ]
    number = {"key": "attributes.Color", "range": {"gte": 1, "lte": 1}}
    as_stored = [
        {"should": [{"key": "attributes.Color", "match": {"any": ["Red"]}}, number]},
        {"key": "attributes.n", "range": {"lt": 3}},
        {"key": "category", "match": {"any": ["Hats"]}},
        {"key": "brand", "match": {"any": ["A"]}},
        {"key": "price", "range": {"gte": 5}},
    ]
    of_before = {"must": as_stored, "must_not": [{"key": "terms", "match": {"value": MARK}}]}
    assert asked == [TENANT, {"should": [{"must": of_today}, of_before]}]
    assert filters.of_search("shop", Filters(), all_have_terms=False) == {"must": [TENANT]}


@pytest.mark.parametrize("name", ['5" heel', "a\\b", '"', "\\"])
def test_a_name_that_no_path_can_say_is_filtered_on_by_its_terms_alone(name: str) -> None:
    given = Filters.model_construct(attributes={name: ("a",)})
    asked = [TENANT, one_of(f"attributes\t{name}\tstring\ta")]
    for all_have_terms in (True, False):
        found = filters.of_search("shop", given, all_have_terms=all_have_terms)
        assert found == {"must": asked}


def test_an_upgrade_is_of_the_rev_that_was_read() -> None:
    assert filters.of_rev("a", 7) == {
        "must": [{"has_id": ["a"]}, {"key": "rev", "range": {"gte": 7, "lte": 7}}]
    }


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
