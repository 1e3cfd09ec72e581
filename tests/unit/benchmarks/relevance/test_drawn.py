"""Catalogues of drawings, and the truth of queries for them."""

import re

import pytest

from benchmarks.relevance.drawn import (
    Naming,
    caption_queries,
    colour_queries,
    name_queries,
    product_id,
    products,
    season_queries,
)
from demo.model.combinations import ALL_COMBINATIONS, COLOURS, GARMENTS, Combination
from shared.models.product import Product

FIELDS_OF_TEXT = ("name", "description", "category", "brand", "attributes", "sku")


def texts(product: dict[str, object]) -> str:
    return " ".join(str(product[field]) for field in FIELDS_OF_TEXT if field in product).lower()


@pytest.mark.parametrize("naming", Naming)
def test_each_combination_is_a_product_that_the_api_takes(naming: Naming) -> None:
    catalogue = products(naming, "http://pictures.example")
    assert [one["id"] for one in catalogue] == [product_id(number) for number in range(480)]
    for one in catalogue:
        Product(**one)


def test_names_say_as_much_as_their_kind_allows() -> None:
    colours, garments = "|".join(COLOURS), "|".join(GARMENTS)
    for one in products(Naming.COLOURLESS, ""):
        assert not re.search(rf"\b({colours})\b", texts(dict(one)))
    for one in products(Naming.MEANINGLESS, ""):
        assert not re.search(rf"\b({colours}|{garments}|striped|dotted)\b", texts(dict(one)))


def test_codes_are_unique_and_some_colours_are_variants() -> None:
    catalogue = products(Naming.FULL, "")
    assert len({one["sku"] for one in catalogue}) == len(catalogue)
    assert len({one["group_id"] for one in catalogue if "group_id" in one}) == 36


def fitting(ratings: dict[str, float]) -> list[Combination]:
    return [shown for number, shown in enumerate(ALL_COMBINATIONS) if ratings[product_id(number)]]


def test_the_truth_of_queries_is_what_they_say() -> None:
    assert set(fitting(dict(colour_queries()["red shirt"]))) == {
        Combination("shirt", "red", pattern)
        for pattern in ("plain", "striped", "dotted", "checked")
    }
    for ratings in caption_queries(20).values():
        assert len(fitting(dict(ratings))) == 1
    names = name_queries(480)
    assert fitting(dict(names["red striped dress"])) == [Combination("dress", "red", "striped")]
    assert len(fitting(dict(names["red dress"]))) == 4


def test_a_season_is_in_the_name_and_the_colour_in_the_picture() -> None:
    catalogue = products(Naming.COLOURLESS, "")
    for query, ratings in season_queries(catalogue, 30).items():
        colour, season, *_ = query.split()
        best = [number for number in range(480) if ratings[product_id(number)] == 3]
        assert best
        for number in best:
            assert ALL_COMBINATIONS[number].colour == colour
            assert catalogue[number]["name"].lower().startswith(season)
