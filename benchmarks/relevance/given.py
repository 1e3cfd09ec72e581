"""Catalogues that are given as files: `electronics/` with ratings, `garments/` with photos."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.relevance.drawn import file_name
from benchmarks.relevance.scores import Queries
from benchmarks.relevance.shops import Product
from demo.model.combinations import ALL_COMBINATIONS
from vitrine.relevance.ratings import read_ratings

_MAX_ATTRIBUTE_NAME: Final = 64
_MAX_MPN: Final = 70
_PICTURES_SHARED: Final = 48
"""Drawings that products without pictures share: the fewer, the less there is to embed."""


def electronics(folder: Path, pictures_url: str) -> tuple[Sequence[Product], Queries]:
    """Products that have no pictures, each with a drawing by a hash of its id, and rated queries.

    `pictures_url`: the address of the drawings.
    """
    products = [
        {**_within_bounds(product), "image_url": f"{pictures_url}/{_any_drawing(product['id'])}"}
        for product in _lines(folder / "products.ndjson.gz")
    ]
    return products, read_ratings(folder / "ratings.csv").queries


def garments(folder: Path, pictures_url: str) -> Sequence[Product]:
    """Variants of garments. `pictures_url`: the address of the photos of `images/`."""
    products = []
    for product in _lines(folder / "products.ndjson"):
        image, more = product.pop("image"), product.pop("additional_images", [])
        products.append(
            {
                **product,
                "image_url": f"{pictures_url}/{image}",
                "additional_image_urls": [f"{pictures_url}/{each}" for each in more],
            }
        )
    return products


def _within_bounds(product: Product) -> Product:
    """The product without what the API has no room for: 8 names of attributes, and descriptions
    that stand where 1,207 products should have a part number."""
    attributes = product["attributes"].items()
    kept = {name: value for name, value in attributes if len(name) <= _MAX_ATTRIBUTE_NAME}
    bounded = {**product, "attributes": kept}
    if len(product["mpn"]) > _MAX_MPN:
        del bounded["mpn"]
    return bounded


def _any_drawing(product_id: str) -> str:
    return file_name(ALL_COMBINATIONS[zlib.crc32(product_id.encode()) % _PICTURES_SHARED * 10])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in file:
            yield json.loads(line)
