"""The demo's drawings as catalogues with known truth, and queries for them."""

import io
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Final

from benchmarks.relevance.shops import Product
from demo.model.captions import Language, full_caption
from demo.model.combinations import ALL_COMBINATIONS, COLOURS, GARMENTS, Combination
from demo.model.drawing import draw
from demo.model.vocabulary import CATEGORY_GARMENTS, ENGLISH_NOUNS

_SIZE: Final = 96
"""Pixels; more than the demo model looks at."""

_SEED: Final = 2_000_000
"""Drawings from here on are in no training and no evaluation of the model."""

_LANGUAGES: Final[tuple[Language, ...]] = ("en", "fr")
_BRANDS: Final = ("Norrland", "Côte Bleue", "Ash & Elm", "Marlow", "Tessera")
_MATERIALS: Final = ("cotton", "linen", "wool", "leather")
_AVAILABILITIES: Final = ("in_stock", "in_stock", "in_stock", "out_of_stock", "preorder")
_SEASONS: Final = ("Summer", "Winter", "Weekend", "Holiday", "Everyday")
_SYLLABLES: Final = ("zu", "kri", "olm", "vex", "tha", "qua", "nje", "bro", "ixi", "umb")
_FIRST_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Naming(Enum):
    """The facts of the pictures that a catalogue's texts tell."""

    FULL = "normal names"
    COLOURLESS = "names that leave out the colour"
    MEANINGLESS = "meaningless names"


def write_drawings(folder: Path) -> None:
    """One picture of each combination, as `file_name` has it."""
    for shown in ALL_COMBINATIONS:
        content = io.BytesIO()
        drawing = draw(*shown, seed=_SEED + ALL_COMBINATIONS.index(shown), size=_SIZE)
        drawing.save(content, "JPEG", quality=90)
        (folder / file_name(shown)).write_bytes(content.getvalue())


def file_name(shown: Combination) -> str:
    """The combination's file."""
    return "-".join(shown) + ".jpg"


def products(naming: Naming, pictures_url: str) -> Sequence[Product]:
    """A product for each combination, in the order of `ALL_COMBINATIONS`."""
    describe: Callable[[random.Random, Combination], Mapping[str, Any]] = {
        Naming.FULL: _in_full,
        Naming.COLOURLESS: _without_colour,
        Naming.MEANINGLESS: _without_meaning,
    }[naming]
    return [
        {
            "id": product_id(number),
            "image_url": f"{pictures_url}/{file_name(shown)}",
            "price": _price(number),
            "created_at": (_FIRST_DAY + timedelta(minutes=number)).isoformat(),
            **describe(random.Random(number), shown),
        }
        for number, shown in enumerate(ALL_COMBINATIONS)
    ]


def product_id(number: int) -> str:
    """The id of the product that shows the combination of this number."""
    return f"drawn-{number}"


def caption_queries(count: int) -> Mapping[str, Mapping[str, float]]:
    """Captions in English and French that name all there is to see, with the products they fit."""
    rng = random.Random(1)
    asked: dict[str, Mapping[str, float]] = {}
    for shown in rng.sample(ALL_COMBINATIONS, count):
        for language in _LANGUAGES:
            caption = full_caption(shown, language, rng)
            asked[caption.text] = _rated(caption.mention.fits)
    return asked


def season_queries(catalogue: Sequence[Product], count: int) -> Mapping[str, Mapping[str, float]]:
    """Queries such as "red winter coat": the colour is in the picture alone, the season in the name
    alone. A coat that has both is rated 3, and one that has either of them 1, so that neither side
    is favoured. `catalogue`: the one with names that leave out the colour.
    """
    asked: dict[str, Mapping[str, float]] = {}
    for number in random.Random(6).sample(range(len(ALL_COMBINATIONS)), count):
        shown, season = ALL_COMBINATIONS[number], _season(catalogue[number])
        query = f"{shown.colour} {season} {ENGLISH_NOUNS[shown.garment][0].singular}"
        rated: dict[str, float] = {}
        for product, other in zip(catalogue, ALL_COMBINATIONS, strict=True):
            right = (other.colour == shown.colour) + (_season(product) == season)
            rated[product["id"]] = (0, 1, 3)[right] if other.garment == shown.garment else 0
        asked[query.lower()] = rated
    return asked


def colour_queries() -> Mapping[str, Mapping[str, float]]:
    """Queries such as "red shirt", for each colour and garment."""
    return {
        f"{colour} {ENGLISH_NOUNS[garment][0].singular}": _rated(
            lambda shown, colour=colour, garment=garment: (  # type: ignore[misc]
                shown.colour == colour and shown.garment == garment
            )
        )
        for colour in COLOURS
        for garment in GARMENTS
    }


def name_queries(count: int) -> Mapping[str, Mapping[str, float]]:
    """The products' normal names as queries, in lower case, with the products they fit."""
    sample = random.Random(2).sample(ALL_COMBINATIONS, count)
    return {
        _name(shown).lower(): _rated(
            lambda other, shown=shown: (  # type: ignore[misc]
                other[:2] == shown[:2] and shown.pattern in ("plain", other.pattern)
            )
        )
        for shown in sample
    }


def _rated(fits: Callable[[Combination], bool]) -> Mapping[str, float]:
    return {product_id(number): float(fits(shown)) for number, shown in enumerate(ALL_COMBINATIONS)}


def _in_full(rng: random.Random, shown: Combination) -> Mapping[str, Any]:
    number = ALL_COMBINATIONS.index(shown)
    price = _price(number)
    said: dict[str, Any] = {
        "name": _name(shown),
        "description": f"{_name(shown)}, comfortable and durable.",
        "category": next(name for name, kinds in CATEGORY_GARMENTS.items() if shown[0] in kinds)
        + f" > {shown.garment}",
        "brand": rng.choice(_BRANDS),
        "sku": f"{shown.garment[:2].upper()}-{number * 37 % 10_000:04}-{shown.colour[:2].upper()}",
        "availability": rng.choice(_AVAILABILITIES),
        "currency": "EUR",
        "attributes": {
            "color": shown.colour,
            "pattern": shown.pattern,
            "material": rng.sample(_MATERIALS, rng.choice((1, 2))),
        },
    }
    if rng.random() < 0.3:
        said["sale_price"] = round(price * 0.8, 2)
    if shown.pattern != "plain":
        # Of three in four garments the colours are variants of one.
        said["group_id"] = f"{shown.garment}-{shown.pattern}"
    return said


def _without_colour(rng: random.Random, shown: Combination) -> Mapping[str, Any]:
    noun = rng.choice(ENGLISH_NOUNS[shown.garment]).singular
    return {"name": f"{rng.choice(_SEASONS)} {noun}"}


def _season(product: Product) -> str:
    season: str = product["name"].split(" ")[0]
    return season


def _without_meaning(rng: random.Random, shown: Combination) -> Mapping[str, Any]:
    del shown
    words = ("".join(rng.choices(_SYLLABLES, k=3)) for _ in range(2))
    return {"name": " ".join(words).title()}


def _name(shown: Combination) -> str:
    noun = ENGLISH_NOUNS[shown.garment][0].singular
    words = [shown.colour, shown.pattern, noun]
    return " ".join(word for word in words if word != "plain").title()


def _price(number: int) -> float:
    return 5 + number * 61 % 200 + 0.99
