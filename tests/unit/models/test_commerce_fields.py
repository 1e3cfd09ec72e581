"""The fields that a shop's feed has: their bounds, patches and warnings."""

from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import to_json

from shared.models.patch import Patch, merged, merged_without_faulty
from shared.models.product import Product
from shared.models.remarks import remarks

BASE = {"id": "a", "name": "A", "image_url": "https://shop.example/a.jpg"}
GOOD: dict[str, Any] = {
    "brand": "b" * 128,
    "sku": "s" * 64,
    "gtin": "4006381333931",
    "mpn": "m" * 70,
    "url": "https://shop.example/" + "a" * 1979,
    "currency": "EUR",
    "sale_price": 0,
    "availability": "preorder",
    "additional_image_urls": ["https://shop.example/b.jpg"] * 10,
}
BAD: list[tuple[str, Any]] = [
    ("brand", "b" * 129),
    ("brand", ""),
    ("brand", "a\nb"),
    ("sku", "s" * 65),
    ("gtin", "1234567"),
    ("gtin", "123456789012345"),
    ("gtin", "12345678a"),
    ("gtin", "12345678\n"),
    ("gtin", "١٢٣٤٥٦٧٨"),
    ("gtin", 12345678),
    ("mpn", "m" * 71),
    ("url", "ftp://shop.example/a"),
    ("url", "/a"),
    ("url", "https://shop.example/" + "a" * 1980),
    ("currency", "EU"),
    ("currency", "EURO"),
    ("currency", "E1R"),
    ("sale_price", -1),
    ("sale_price", float("inf")),
    ("sale_price", "5"),
    ("availability", "in stock"),
    ("additional_image_urls", ["https://shop.example/b.jpg"] * 11),
    ("additional_image_urls", ["data:,"]),
    ("additional_image_urls", "https://shop.example/b.jpg"),
]


def test_each_field_is_taken_up_to_its_bound_by_products_and_patches() -> None:
    assert Product.model_validate(BASE | GOOD).model_dump(include=set(GOOD)) == GOOD
    assert Patch.model_validate(GOOD).fields() == GOOD


@pytest.mark.parametrize(("field", "value"), BAD)
@pytest.mark.parametrize(("model", "base"), [(Product, BASE), (Patch, {})])
def test_what_is_beyond_a_bound_is_refused(
    model: type[Product | Patch], base: dict[str, Any], field: str, value: Any
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(base | {field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


def test_null_removes_each_field() -> None:
    product = Product.model_validate(BASE | GOOD)
    delta = to_json(Patch.model_validate(dict.fromkeys(GOOD)).fields()).decode()
    assert merged(product, [delta]) == Product.model_validate(BASE)


@pytest.mark.parametrize(("model", "base"), [(Product, BASE), (Patch, {})])
def test_a_sale_price_above_the_price_is_refused(
    model: type[Product | Patch], base: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="must not be above price"):
        model.model_validate(base | {"price": 5, "sale_price": 5.01})
    model.model_validate(base | {"price": 5, "sale_price": 5})


@pytest.mark.parametrize("delta", ['{"sale_price": 11}', '{"price": 4}'])
def test_a_patch_that_puts_the_sale_price_above_the_stored_price_fails_alone(delta: str) -> None:
    product = Product.model_validate(BASE | {"price": 10, "sale_price": 5})
    patched, faulty = merged_without_faulty(product, [delta, '{"name": "B"}'])
    assert list(faulty) == [0]
    assert (patched.name, patched.price, patched.sale_price) == ("B", 10, 5)


@pytest.mark.parametrize(
    ("gtin", "warned"),
    [
        ("4006381333931", False),
        ("036000291452", False),
        ("96385074", False),
        ("10012345000017", False),
        ("4006381333932", True),
        ("12345678", True),
    ],
)
def test_a_wrong_check_digit_is_a_warning(gtin: str, warned: bool) -> None:
    found = remarks(Product.model_validate(BASE | {"gtin": gtin}), {})
    assert [remark.code for remark in found] == ["gtin_check_digit"] * warned


def test_a_currency_is_kept_in_capitals() -> None:
    assert Product.model_validate(BASE | {"currency": "eur"}).currency == "EUR"
