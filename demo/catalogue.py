"""A shop's catalogue of drawn products, in the shape that the API takes."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image

from demo.model.combinations import ALL_COMBINATIONS, Combination
from demo.model.drawing import draw
from demo.model.vocabulary import CATEGORY_GARMENTS, ENGLISH_NOUNS

RED_SHIRT = Combination("shirt", "red", "plain")
"""In the catalogue exactly once, as the first product: the best answer to "red shirt"."""

_EXAMPLES = (
    (RED_SHIRT, 29.99),
    (Combination("shirt", "blue", "plain"), 34.99),
    (Combination("shirt", "pink", "plain"), 32.99),
)
"""The products of the API's worked example come first, so that a catalogue of three is that
example."""
_OPENING_DAY = datetime(2024, 11, 2, 10, 30, tzinfo=UTC)
_CLOTHING_SIZES = ("XS", "S", "M", "L", "XL")
_SHOE_SIZES = tuple(str(size) for size in range(36, 47))

_MAKE: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "shirt": (15, 45, ("cotton", "linen")),
    "sweater": (35, 90, ("wool", "cotton")),
    "coat": (90, 250, ("wool", "polyester")),
    "dress": (40, 120, ("cotton", "linen", "viscose")),
    "skirt": (25, 70, ("cotton", "viscose")),
    "trousers": (30, 90, ("cotton", "linen")),
    "shorts": (20, 50, ("cotton", "linen")),
    "hat": (15, 60, ("felt", "cotton")),
    "shoe": (45, 140, ("canvas", "leather")),
    "sock": (5, 15, ("cotton", "wool")),
    "bag": (30, 180, ("canvas", "leather")),
    "scarf": (15, 70, ("wool", "silk")),
}
"""Lowest and highest price, and materials."""


@dataclass(frozen=True)
class CatalogueEntry:
    """One product with the drawing that shows it."""

    product: dict[str, Any]
    """The body of the API's product, ready for JSON."""
    shown: Combination
    drawing_seed: int
    file_name: str
    """The last part of the product's image_url."""

    def picture(self, size: int = 384) -> Image.Image:
        """The product's picture, `size` pixels square; the same every time."""
        return draw(*self.shown, seed=self.drawing_seed, size=size)


def catalogue(count: int, image_base_url: str, seed: int = 1) -> list[CatalogueEntry]:
    """The first `count` products of an endless catalogue.

    The same seed gives the same products, and a longer catalogue begins with the shorter one.
    Pictures are expected at `image_base_url` + "/" + file name.
    """
    shown = _endless_combinations(seed)
    return [
        _entry(number, next(shown), image_base_url.rstrip("/"), seed)
        for number in range(1, count + 1)
    ]


def _endless_combinations(seed: int) -> Iterator[Combination]:
    """The example's, then all the others in random order, then those again in another order."""
    rng = random.Random(f"combinations/{seed}")
    examples = [shown for shown, _ in _EXAMPLES]
    yield from examples
    others = [shown for shown in ALL_COMBINATIONS if shown not in examples]
    while True:
        rng.shuffle(others)
        yield from others
        others = [shown for shown in ALL_COMBINATIONS if shown != RED_SHIRT]


def _entry(number: int, shown: Combination, base_url: str, seed: int) -> CatalogueEntry:
    rng = random.Random(f"product/{seed}/{number}")
    garment, colour, pattern = shown
    product_id = f"prod_{number:03}"
    file_name = f"{product_id}.png"
    low, high, materials = _MAKE[garment]
    material = rng.choice(materials)
    price = rng.randrange(low, high) + 0.99
    if number <= len(_EXAMPLES):
        price = _EXAMPLES[number - 1][1]
    product = {
        "id": product_id,
        "name": _name(shown),
        "description": f"{_with_article(_name(shown).lower())} in {material}.",
        "image_url": f"{base_url}/{file_name}",
        "category": _category(garment),
        "price": round(price, 2),
        "attributes": {
            "color": colour,
            "pattern": pattern,
            "garment": garment,
            "material": material,
            "size": _size(garment, rng),
            "stock": rng.randrange(0, 60),
        },
        "created_at": (_OPENING_DAY + timedelta(minutes=7 * number)).isoformat(),
    }
    return CatalogueEntry(product, shown, seed * 1_000_000 + number, file_name)


def _name(shown: Combination) -> str:
    """Such as "Red Striped Dress"; of plain things the pattern is not said."""
    noun = ENGLISH_NOUNS[shown.garment][0]
    # Socks and shoes are sold in pairs.
    sold_as = noun.plural if shown.garment in ("shoe", "sock") else noun.singular
    words = [shown.colour, shown.pattern, sold_as]
    return " ".join(word for word in words if word != "plain").title()


def _with_article(phrase: str) -> str:
    if phrase.endswith("s") and not phrase.endswith("dress"):
        return f"A pair of {phrase}"
    return f"An {phrase}" if phrase[0] in "aeiou" else f"A {phrase}"


def _category(garment: str) -> str:
    return next(name for name, kinds in CATEGORY_GARMENTS.items() if garment in kinds)


def _size(garment: str, rng: random.Random) -> str:
    if garment in CATEGORY_GARMENTS["clothing"]:
        return rng.choice(_CLOTHING_SIZES)
    return rng.choice(_SHOE_SIZES) if garment in ("shoe", "sock") else "one size"
