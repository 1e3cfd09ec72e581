"""Merging patches into a product, and what a patch may hold."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from shared.models.change import Change
from shared.models.patch import Patch, merged, removes_date
from shared.models.product import Product


def product(**fields: object) -> Product:
    return Product.model_validate({"id": "p", "name": "Shirt", "image_url": "http://h/x", **fields})


def patched(base: Product, *patches: dict[str, object]) -> Product:
    changes = [Change.patch("p", Patch.model_validate(fields).fields()) for fields in patches]
    return merged(base, [change.body for change in changes])


def test_a_patch_changes_its_fields_and_leaves_the_others() -> None:
    after = patched(product(price=30, category="clothing"), {"price": 25.5})
    assert (after.price, after.category, after.name) == (25.5, "clothing", "Shirt")


def test_null_removes_a_field() -> None:
    after = patched(product(price=30, description="x", group_id="g"), {"price": None})
    assert after.price is None
    assert (after.description, after.group_id) == ("x", "g")


def test_attributes_merge_key_by_key() -> None:
    base = product(attributes={"color": "red", "stock": 15, "sizes": []})
    after = patched(base, {"attributes": {"stock": 14, "color": None, "new": True}})
    assert after.attributes == {"stock": 14, "sizes": [], "new": True}


def test_null_attributes_are_all_removed() -> None:
    assert patched(product(attributes={"a": 1}), {"attributes": None}).attributes == {}


def test_a_date_is_patched_as_it_is_sent_with_a_product() -> None:
    after = patched(product(), {"created_at": "2024-11-02T10:30:00"})
    assert after.created_at == datetime(2024, 11, 2, 10, 30, tzinfo=UTC)
    assert patched(after, {"created_at": "2024-11-03T01:00:00+02:00"}).created_at == datetime(
        2024, 11, 2, 23, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("patches", "removed"),
    [
        ([], False),
        ([{"price": None}], False),
        ([{"created_at": None}], True),
        ([{"created_at": None}, {"price": 1}], True),
        ([{"created_at": None}, {"created_at": "2024-11-02"}], False),
        ([{"created_at": "2024-11-02"}, {"created_at": None}], True),
    ],
)
def test_whether_patches_remove_the_date_is_up_to_the_last_that_names_it(
    patches: list[dict[str, object]], removed: bool
) -> None:
    assert removes_date([json.dumps(patch) for patch in patches]) is removed


def test_patches_count_in_their_order() -> None:
    after = patched(product(), {"price": 1}, {"price": 2, "category": "c"}, {"category": None})
    assert (after.price, after.category) == (2, None)


def test_limits_hold_for_the_whole() -> None:
    base = product(attributes={f"a{i}": i for i in range(64)})
    with pytest.raises(ValidationError):
        patched(base, {"attributes": {"one-more": 1}})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image_url": "http://h/y"},
        {"version": 3},
        {"id": "q"},
        {"name": None},
        {"name": ""},
        {"created_at": "soon"},
        {"created_at": 1700000000},
        {"price": "cheap"},
        {"price": float("nan")},
        {"unknown": 1},
        {"attributes": {"nested": {"a": 1}}},
    ],
)
def test_what_no_patch_may_hold(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Patch.model_validate(fields)
