"""Filters in the engine find what the predicate admits: facets and pages rely on both."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.models.product import Product
from shared.models.search.filters import FILTERED_FIELDS, Filters
from shared.qdrant.points import live_payload
from shared.qdrant.service import QdrantService
from tests.integration.qdrant.conftest import MakePoint, direction
from tests.servers import DIMENSIONS

STEPS = st.sampled_from(["Women", "WÓMEN ", "Dresses", "Maxi", "", "Wo"])
CATEGORIES = st.lists(STEPS, min_size=1, max_size=3).map(">".join).filter(bool)
BRANDS = st.sampled_from(["Acme", "ACME", "Légère", "legere", "On", "Acme > On"])
PRICES = st.sampled_from([0, 5, 9.99, 10, 10.0, 19.5, 20])
NUMBERS = st.sampled_from([-1, 0, 0.5, 1, 1.0, 4, 4.5, 5, 2**53 - 1])
VALUES = st.one_of(st.sampled_from(["red", "RED", "5", "1"]), st.booleans(), NUMBERS)
HELD = VALUES | st.lists(st.sampled_from(["red", "5", "S"]), max_size=2)
NAMES = st.sampled_from(["a", "b c", "n", "i"])
"""`n` has an index for floats here, `i` one for whole numbers, `a` one for strings."""


@st.composite
def products(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "category": draw(st.none() | CATEGORIES),
        "brand": draw(st.none() | BRANDS),
        "availability": draw(
            st.sampled_from([None, "in_stock", "out_of_stock", "preorder", "backorder"])
        ),
        "price": draw(st.none() | PRICES),
        "sale_price": draw(st.none() | PRICES),
        "attributes": draw(st.dictionaries(NAMES, HELD, max_size=3)),
    }
    price, sale_price = fields["price"], fields["sale_price"]
    if price is not None and sale_price is not None and sale_price > price:
        fields["price"], fields["sale_price"] = sale_price, price
    return {name: value for name, value in fields.items() if value is not None}


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    bounds = st.dictionaries(
        st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS, min_size=1, max_size=2
    )
    wanted = VALUES | st.lists(VALUES, min_size=1, max_size=6) | bounds
    several = st.fixed_dictionaries(
        {},
        optional={
            "category_filter": CATEGORIES | st.lists(CATEGORIES, min_size=1, max_size=3),
            "brand_filter": BRANDS | st.lists(BRANDS, min_size=1, max_size=6),
            "in_stock": st.just(True),
            "price_min": st.sampled_from([0, 5, 9.99]),
            "price_max": st.sampled_from([9.99, 10, 20]),
            "attributes": st.dictionaries(NAMES, wanted, max_size=2),
        },
    )
    return draw(several)


@pytest.fixture(scope="module")
def indexed(server_url: str, http: httpx.Client) -> Iterator[QdrantService]:
    service = QdrantService(server_url, f"test-{uuid.uuid4().hex}", dimensions=DIMENSIONS)
    service.ensure_collection(["a", "n:float", "i:integer"])
    yield service
    service.close()
    http.delete(f"/collections/{service.collection}").raise_for_status()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(products(), min_size=1, max_size=12), st.lists(asked(), min_size=4, max_size=12))
def test_the_index_finds_just_what_the_predicate_admits(
    indexed: QdrantService,
    make_point: MakePoint,
    held: list[dict[str, Any]],
    given_filters: list[dict[str, Any]],
) -> None:
    tenant = uuid.uuid4().hex
    points = [
        make_point(f"p{number}", 1, tenant=tenant, **fields) for number, fields in enumerate(held)
    ]
    indexed.upsert_products(points)
    payloads = {point.product.id: live_payload(point) for point in points}
    stored = {
        id_: {name: payload.get(name) for name in FILTERED_FIELDS}
        for id_, payload in payloads.items()
    }
    for fields in given_filters:
        filters = Filters(**fields)
        hits = indexed.search(tenant, direction(1), filters, 100)
        admits = filters.predicate()
        found = {hit.product_id for hit in hits}
        assert found == {id_ for id_, held_fields in stored.items() if admits(held_fields)}, fields
        assert all(admits(hit.fields) for hit in hits)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"category_filter": "Women"}, ["coat", "dress"]),
        ({"category_filter": "women>dresses"}, ["dress"]),
        ({"category_filter": ["Dresses", "men"]}, ["shoe"]),
        ({"brand_filter": ["acme", "on"]}, ["coat", "shoe"]),
        ({"in_stock": True}, ["coat", "shoe"]),
        ({"price_max": 20}, ["coat"]),
        ({"price_min": 21}, ["dress"]),
        ({"attributes": {"rating": {"gte": 4, "lt": 5}}}, ["dress", "shoe"]),
        ({"attributes": {"rating": {"gt": 4, "lte": 5}}}, ["coat", "shoe"]),
    ],
)
def test_filters_are_what_a_shopper_expects(
    qdrant: QdrantService,
    tenant: str,
    make_point: MakePoint,
    fields: dict[str, Any],
    found: list[str],
) -> None:
    shop: dict[str, dict[str, Any]] = {
        "coat": {"category": "Women", "brand": "ACME", "price": 30, "sale_price": 19.5},
        "dress": {"category": "Women > Dresses", "price": 40, "availability": "preorder"},
        "shoe": {"category": "Men > Shoes", "brand": "On", "availability": "in_stock"},
    }
    ratings = {"coat": 5, "dress": 4, "shoe": 4.5}
    qdrant.upsert_products(
        [
            make_point(name, 1, attributes={"rating": ratings[name]}, **of_product)
            for name, of_product in shop.items()
        ]
    )
    hits = qdrant.search(tenant, direction(1), Filters(**fields), 10)
    assert sorted(hit.product_id for hit in hits) == found


@pytest.mark.parametrize("name", ["a", "n", "i", "unlisted"])
def test_a_range_finds_numbers_whatever_type_the_attribute_is_listed_with(
    indexed: QdrantService, tenant: str, make_point: MakePoint, name: str
) -> None:
    values = {"half": 4.5, "whole": 4, "text": "4", "true": True, "list": ["4"]}
    points = [make_point(id_, 1, attributes={name: value}) for id_, value in values.items()]
    indexed.upsert_products(points)
    hits = indexed.search(tenant, direction(1), Filters(attributes={name: {"gte": 1}}), 10)
    assert sorted(hit.product_id for hit in hits) == ["half", "whole"]


def test_a_product_keeps_what_the_predicate_needs() -> None:
    assert set(FILTERED_FIELDS) <= set(Product.model_fields)
