"""Warnings that follow from a product's own fields. Pure.

They are not stored, because they are known again whenever the product is read.
"""

from collections.abc import Mapping

from shared.errors import ItemCode, ItemPermanent
from shared.models.attributes import AttributeType, mismatches
from shared.models.product import Product


def remarks(product: Product, types: Mapping[str, AttributeType]) -> list[ItemPermanent]:
    """The warnings. `types`: those of the attributes that the shop lists (ATTRIBUTE_INDEXES)."""
    found = []
    if faults := mismatches(product.attributes, types):
        found.append(ItemPermanent(ItemCode.ATTRIBUTE_TYPE_MISMATCH, " ".join(faults)))
    if product.gtin is not None and not has_right_check_digit(product.gtin):
        message = f"The last digit of the gtin {product.gtin} is not its check digit."
        found.append(ItemPermanent(ItemCode.GTIN_CHECK_DIGIT, message))
    return found


def has_right_check_digit(gtin: str) -> bool:
    """Whether the digits, weighted 1 and 3 by turns from the right, add up to a multiple of ten
    (GS1 General Specifications, section 7.9)."""
    digits = [int(digit) for digit in reversed(gtin)]
    return (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0
