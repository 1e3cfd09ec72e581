"""What each type of filter costs a search in the embedded Qdrant, as times a search without one.

`python -m benchmarks.studies.filters` asks for the ten nearest of drawn products under each filter,
in turns with the same search without a filter. Printed are the share of the products that meet the
filter, the fastest of the rounds, and its ratio to the fastest without a filter. Above 4 the exit
code is 1: then a filter has no index, and looks into payloads.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.drawn_vectors import DIMENSIONS, DrawnCatalogue
from shared.errors import QdrantUnavailable
from shared.models.product import ImageFacts, Product
from shared.models.search.filters import Filters
from shared.qdrant.points import LivePoint
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from shared.settings import Settings
from stack.run import Stack

_TENANT: Final = "default"
_AT_ONCE: Final = 256
_TOP: Final = 10
_STARTING_SECONDS: Final = 60.0
_WORST: Final = 4.0

_FILTERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "a string": {"attributes": {"color": "color 3"}},
    "a boolean": {"attributes": {"organic": True}},
    "a number": {"attributes": {"stock": 7}},
    "64 numbers": {"attributes": {"stock": [*range(64)]}},
    "price": {"price_min": 20, "price_max": 80},
    "brands": {"brand_filter": [f"brand {number}" for number in range(8)]},
    "a path's category": {"category_filter": "Women"},
    "in stock": {"in_stock": True},
    "a listed range": {"attributes": {"rating": {"gte": 2.5, "lt": 4.37}}},
    "a range": {"attributes": {"stock": {"gte": 20, "lt": 60}}},
    "a wide range": {"attributes": {"weight": {"gt": 110.5}}},
    "a range and others": {"in_stock": True, "attributes": {"weight": {"lte": 1234.56}}},
    "a range of what nobody has": {"attributes": {"depth": {"lte": 50}}},
    "what nobody has": {"attributes": {"material": "silk"}},
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.filters")
    parser.add_argument("--products", type=int, default=20_000, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="(%(default)s)")
    options = parser.parse_args()
    drawn = DrawnCatalogue()
    with (
        tempfile.TemporaryDirectory(prefix="vitrine-filters-") as folder,
        Stack(
            Settings(_env_file=None, data_dir=Path(folder)),
            log_dir=Path(folder) / "logs",
            only=("qdrant",),
        ) as stack,
    ):
        service = QdrantService(
            stack.addresses["qdrant_url"],
            "products-filters",
            dimensions=DIMENSIONS,
            api_key=stack.addresses["qdrant_api_key"],
            read_timeout=60,
            write_timeout=60,
        )
        _set_up(service)
        points = [_product(*each) for each in enumerate(drawn.products(options.products))]
        for start in range(0, len(points), _AT_ONCE):
            service.upsert_products(points[start : start + _AT_ONCE])
        wanted = {name: Filters.model_validate(each) for name, each in _FILTERS.items()}
        for each in wanted.values():  # ranges get their indexes
            service.search(_TENANT, points[0].vectors["image"], each, _TOP)
        seconds = _fastest(service, drawn.pictures(1)[0], wanted, options.rounds)
        service.close()
    fields = [point.product.model_dump(exclude_none=True) for point in points]
    alone = seconds[""]
    print(f"without a filter: {1000 * alone:.2f} ms")
    worst = 0.0
    for name, filters in wanted.items():
        met = sum(map(filters.predicate(), fields)) / len(fields)
        ratio = seconds[name] / alone
        worst = max(worst, ratio)
        print(f"{name:28} {met:4.0%} meet it: {1000 * seconds[name]:6.2f} ms, {ratio:.2f} times")
    if worst > _WORST:
        sys.exit(f"a filter takes {worst:.2f} times as long as none")


def _set_up(service: QdrantService) -> None:
    """Makes the collection once the server answers. Raises QdrantUnavailable if it doesn't."""
    deadline = time.monotonic() + _STARTING_SECONDS
    while True:
        try:
            return service.ensure_collection(["rating:float"])
        except QdrantUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _product(number: int, vector: Any) -> LivePoint:
    """A product with values of every type, spread evenly and apart from each other's."""
    drawn = (number * 2_654_435_761) % 2**32 / 2**32
    price = round(10 + 90 * drawn, 2)
    fields: dict[str, Any] = {
        "id": f"drawn-{number}",
        "name": f"Drawn product {number}",
        "description": "A plain cotton shirt, cut wide, with a round neck. " * 5,
        "image_url": f"https://shop.example/pictures/{number}.jpg",
        "price": price,
        "sale_price": round(price * 0.8, 2) if number % 5 == 0 else None,
        "brand": f"Brand {number % 16}",
        "category": f"{('Women', 'Men')[number % 2]} > {('Dresses', 'Shoes', 'Hats')[number % 3]}",
        "availability": "out_of_stock" if number % 7 == 0 else "in_stock",
        "attributes": {
            "color": f"color {number % 10}",
            "organic": number % 3 != 0,
            "stock": number % 100,
            "rating": round(1 + 4 * ((number * 7919) % 1000) / 1000, 2),
            "weight": round(100 + 2000 * ((number * 104_729) % 10_007) / 10_007, 2),
        },
    }
    return LivePoint(
        tenant=_TENANT,
        product=Product(**fields),
        rev=1,
        vectors=VectorSet.of_image(vector),
        image=ImageFacts(sha256="0" * 64),
        indexed_at="2026-01-01T00:00:00+00:00",
    )


def _fastest(
    service: QdrantService, vector: Any, wanted: Mapping[str, Filters], rounds: int
) -> Mapping[str, float]:
    """The least seconds of each filter, and under the empty name without one."""
    asked = {"": Filters(), **wanted}
    fastest = dict.fromkeys(asked, float("inf"))
    for _ in range(rounds):
        for name, filters in asked.items():
            began = time.perf_counter()
            service.search(_TENANT, vector, filters, _TOP)
            fastest[name] = min(fastest[name], time.perf_counter() - began)
    return fastest


if __name__ == "__main__":
    main()
