"""The demo's catalogue: deterministic, varied, and in the shape that the API takes."""

import json
from datetime import datetime
from decimal import Decimal

import numpy as np

from demo.catalogue import RED_SHIRT, catalogue
from demo.model.combinations import ALL_COMBINATIONS

BASE_URL = "http://127.0.0.1:9000/pictures/"


def test_a_catalogue_is_the_same_every_time_and_starts_with_any_shorter_one() -> None:
    assert catalogue(60, BASE_URL) == catalogue(60, BASE_URL)
    assert catalogue(60, BASE_URL)[:20] == catalogue(20, BASE_URL)
    assert catalogue(20, BASE_URL, seed=2) != catalogue(20, BASE_URL)


def test_the_first_three_are_those_of_the_worked_example() -> None:
    products = [entry.product for entry in catalogue(3, BASE_URL)]
    assert [(p["id"], p["name"], p["price"], p["category"]) for p in products] == [
        ("prod_001", "Red Shirt", 29.99, "clothing"),
        ("prod_002", "Blue Shirt", 34.99, "clothing"),
        ("prod_003", "Pink Shirt", 32.99, "clothing"),
    ]


def test_there_is_exactly_one_plain_red_shirt_however_long_the_catalogue() -> None:
    entries = catalogue(3 * len(ALL_COMBINATIONS), BASE_URL)
    assert [entry.product["id"] for entry in entries if entry.shown == RED_SHIRT] == ["prod_001"]
    assert {entry.shown for entry in entries} == set(ALL_COMBINATIONS)


def test_products_have_the_fields_of_the_api() -> None:
    for entry in catalogue(300, BASE_URL):
        product = entry.product
        assert set(product) == {
            "id",
            "name",
            "description",
            "image_url",
            "category",
            "price",
            "attributes",
            "created_at",
        }
        assert product["image_url"] == BASE_URL + entry.file_name
        assert product["category"] in ("clothing", "shoes", "accessories")
        assert product["price"] > 0
        assert Decimal(str(product["price"])) == round(Decimal(str(product["price"])), 2)
        assert datetime.fromisoformat(product["created_at"]).tzinfo is not None
        assert isinstance(product["attributes"]["stock"], int)
        assert json.loads(json.dumps(product)) == product


def test_names_and_attributes_say_what_the_picture_shows() -> None:
    for entry in catalogue(100, BASE_URL):
        attributes = entry.product["attributes"]
        shown = (attributes["garment"], attributes["color"], attributes["pattern"])
        assert shown == entry.shown
        assert entry.product["name"].startswith(attributes["color"].title())
        assert (attributes["pattern"].title() in entry.product["name"]) == (
            attributes["pattern"] != "plain"
        )


def test_ids_and_file_names_are_unique_and_two_of_a_kind_are_drawn_differently() -> None:
    entries = catalogue(1000, BASE_URL)
    assert len({entry.product["id"] for entry in entries}) == len(entries)
    assert len({entry.file_name for entry in entries}) == len(entries)
    assert len({(entry.shown, entry.drawing_seed) for entry in entries}) == len(entries)


def test_a_picture_is_the_same_every_time() -> None:
    entry = catalogue(1, BASE_URL)[0]
    picture = entry.picture(size=64)
    assert picture.size == (64, 64)
    assert np.array_equal(np.asarray(picture), np.asarray(entry.picture(size=64)))
