"""What is to be told of an index."""

import pytest

from shared.qdrant.facts import NEEDS_UPGRADE, NO_PRODUCTS, IndexFacts


@pytest.mark.parametrize(
    ("points", "has_products", "is_upgraded", "codes"),
    [
        ({"mine": 5, "other": 7}, True, True, []),
        ({"mine": 0}, False, True, []),
        ({"mine": 0, "other": 0}, False, True, []),
        ({}, False, True, []),
        ({"mine": 0, "other": 7}, False, True, [NO_PRODUCTS]),
        ({"mine": 3, "other": 7}, False, True, [NO_PRODUCTS]),  # traces of deleted ones
        ({"mine": 5}, True, False, [NEEDS_UPGRADE]),
    ],
)
def test_an_empty_collection_beside_a_full_one_is_told(
    points: dict[str, int], has_products: bool, is_upgraded: bool, codes: list[str]
) -> None:
    facts = IndexFacts("mine", points, has_products, is_upgraded)
    assert list(facts.warnings()) == codes


def test_the_warning_names_both_collections_and_what_to_set() -> None:
    facts = IndexFacts("products-new", {"products-new": 0, "products-old": 1847}, False, True)
    said = facts.warnings()[NO_PRODUCTS]
    assert "products-new" in said
    assert "products-old holds 1847" in said
    assert "CLIP_MODEL" in said
