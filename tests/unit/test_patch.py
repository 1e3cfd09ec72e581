"""Merging patches into a product, and what a patch may hold."""

import json

import pytest
from pydantic import ValidationError

from shared.models.patch import Patch, merged
from shared.models.product import Product


def product(**fields: object) -> Product:
    return Product.model_validate({"id": "p", "name": "Shirt", "image_url": "http://h/x", **fields})


def patched(base: Product, *patches: dict[str, object]) -> Product:
    return merged(base, [json.dumps(Patch.model_validate(p).fields()) for p in patches])


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
        {"price": "cheap"},
        {"price": float("nan")},
        {"unknown": 1},
        {"attributes": {"nested": {"a": 1}}},
    ],
)
def test_what_no_patch_may_hold(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Patch.model_validate(fields)
