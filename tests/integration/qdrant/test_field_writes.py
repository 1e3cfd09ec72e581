"""Fields written beside the stored vector: only those that differ, and only over what was read."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint, PayloadWrite, live_payload
from shared.qdrant.service import QdrantService
from tests.integration.qdrant.conftest import MakePoint

FULL: dict[str, Any] = {
    "name": "Shirt",
    "description": "Blue",
    "category": "Shirts",
    "price": 20,
    "attributes": {"sale": True, "size": "M", "tags": ["a", "b"]},
    "version": 7,
    "group_id": "shirts",
}


def stored_payload(qdrant: QdrantService, point: LivePoint | PayloadWrite) -> dict[str, Any]:
    stored = qdrant.stored([point.key])[point.key].product
    assert stored is not None
    return dict(stored.payload)


def write_of(point: LivePoint, rev: int, fields: dict[str, Any], **others: Any) -> PayloadWrite:
    product = Product(id=point.product.id, image_url="https://shop.example/a.jpg", **fields)
    return PayloadWrite(point.tenant, product, rev, point.image, "2026-02-02T00:00:00Z", **others)


@pytest.mark.parametrize(
    ("before", "after", "others"),
    [
        (FULL, {**FULL, "price": 21.5}, {}),
        (FULL, FULL, {}),
        (FULL, {**FULL, "price": 20.0}, {}),
        (FULL, {**FULL, "attributes": {"sale": 1, "size": "M", "tags": ["a", "b"]}}, {}),
        (FULL, {**FULL, "attributes": {"size": "L"}}, {}),
        (FULL, {**FULL, "category": "SHIRTS"}, {}),
        (FULL, {"name": "Shirt"}, {}),
        (FULL, {**FULL, "group_id": None}, {}),
        ({"name": "Shirt"}, FULL, {}),
        (FULL, FULL, {"warnings": ["image_timeout"]}),
    ],
)
def test_what_is_stored_is_the_write_to_the_last_field(
    qdrant: QdrantService,
    make_point: MakePoint,
    before: dict[str, Any],
    after: dict[str, Any],
    others: dict[str, Any],
) -> None:
    point = make_point("p", 5, **before)
    qdrant.upsert_product(point)
    write = write_of(point, 6, after, replaces=stored_payload(qdrant, point), **others)
    assert qdrant.upsert_product(write) == 6
    assert orjson.dumps(stored_payload(qdrant, write), option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        live_payload(write), option=orjson.OPT_SORT_KEYS
    )


def test_a_write_that_came_in_between_is_not_mixed_with(
    qdrant: QdrantService, make_point: MakePoint
) -> None:
    point = make_point("p", 5, **FULL)
    qdrant.upsert_product(point)
    read = stored_payload(qdrant, point)
    qdrant.upsert_product(write_of(point, 6, {**FULL, "category": "Hats"}))
    late = write_of(point, 7, {**FULL, "price": 30}, replaces=read)
    assert qdrant.upsert_product(late) == 6
    stored = stored_payload(qdrant, point)
    assert (stored["category"], stored["price"]) == ("Hats", 20)


def test_another_picture_or_a_deletion_in_between_ends_it_too(
    qdrant: QdrantService, make_point: MakePoint
) -> None:
    point = make_point("p", 5, **FULL)
    qdrant.upsert_product(point)
    read = stored_payload(qdrant, point)
    other = replace(
        write_of(point, 6, {**FULL, "price": 30}, replaces=read), image=ImageFacts("another")
    )
    assert qdrant.upsert_product(other) == 5
    assert stored_payload(qdrant, point)["price"] == 20


def test_a_product_of_an_earlier_release_gets_what_it_lacks(
    qdrant: QdrantService, make_point: MakePoint
) -> None:
    point = make_point("p", 5, **FULL)
    qdrant.upsert_product(point)
    without = {
        name: value for name, value in stored_payload(qdrant, point).items() if name != "terms"
    }
    write = write_of(point, 6, FULL, replaces=without)
    assert qdrant.upsert_product(write) == 6
    assert stored_payload(qdrant, write)["terms"] == live_payload(write)["terms"]
