"""A catalogue that is in index and ledger without having been embedded: that would take an hour."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.drawn_vectors import DIMENSIONS
from benchmarks.picture_server import PictureServer, content_sha256, etag
from demo.settings import DemoSettings
from shared.embedding.identity import collection_name
from shared.ledger import IndexedProduct, LedgerLoss, LedgerRebuild, connect
from shared.models.change import State
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet

TENANT: Final = "default"
_AT_ONCE: Final = 256
_FIRST_REV: Final = 1_700_000_000_000_000
_CREATED: Final = datetime(2026, 1, 1, tzinfo=UTC)
_COLOURS: Final = ("red", "blue", "green", "black", "white")
_CATEGORIES: Final = ("shirts", "trousers", "shoes", "dresses", "bags")


class Catalogue:
    """Products with random unit vectors, numbered from 0.

    The stored facts of their pictures are those that the picture server tells, so a product that is
    pushed again is answered by 304.
    """

    def __init__(
        self, settings: Mapping[str, Any], pictures: PictureServer, files: Sequence[Path]
    ) -> None:
        self._settings = DemoSettings(**settings)
        self._pictures = pictures
        self._contents = [(path.name, path.read_bytes()) for path in files]
        self._held = 0
        self.qdrant = QdrantService(
            self._settings.qdrant_url,
            collection_name(self._settings),
            dimensions=DIMENSIONS,
            api_key=self._settings.qdrant_api_key,
            write_timeout=60,
        )

    def hold(self, count: int) -> None:
        """Sees to it that index and ledger hold at least the first `count` products."""
        redis = connect(self._settings.redis_url)
        ledger = LedgerRebuild(redis)
        self.qdrant.ensure_collection(self._settings.attribute_indexes)
        for start in range(self._held, count, _AT_ONCE):
            points = [self._point(number) for number in range(start, min(start + _AT_ONCE, count))]
            self.qdrant.upsert_products(points)
            ledger.take(
                [
                    IndexedProduct(
                        tenant=TENANT,
                        product_id=point.product.id,
                        rev=point.rev,
                        version=None,
                        incomplete=False,
                        state=State.LIVE,
                    )
                    for point in points
                ]
            )
        ledger.raise_generations({TENANT: _FIRST_REV + count})
        LedgerLoss(redis, self.qdrant.collection).note_all_known()
        self._held = max(self._held, count)

    def body(self, count: int, price: float | None = None) -> bytes:
        """The first `count` products as one call pushes them; `price` for another one than theirs.

        Without a price they are what the index holds.
        """
        products = [self._product(number, price) for number in range(count)]
        dumped = [product.model_dump(mode="json", exclude_none=True) for product in products]
        return json.dumps({"products": dumped}).encode()

    def id_of(self, number: int) -> str:
        """A product's id."""
        return f"catalogue-{number}"

    def _product(self, number: int, price: float | None = None) -> Product:
        name, _ = self._picture(number)
        return Product(
            id=self.id_of(number),
            name=f"Catalogue product {number}",
            description="A plain cotton shirt, cut wide, with a round neck. " * 3,
            image_url=f"{self._pictures.base_url}/{name}?{_query(number)}",
            category=_CATEGORIES[number % len(_CATEGORIES)],
            price=19.5 + number % 100 if price is None else price,
            attributes={"color": _COLOURS[number % len(_COLOURS)], "stock": number % 50},
        )

    def _point(self, number: int) -> LivePoint:
        vector = np.random.default_rng(number).normal(size=DIMENSIONS)
        name, content = self._picture(number)
        return LivePoint(
            tenant=TENANT,
            # The date that a product has is kept when it comes without one.
            product=self._product(number).model_copy(update={"created_at": _CREATED}),
            rev=_FIRST_REV + number,
            vectors=VectorSet.of_image(vector / np.linalg.norm(vector)),
            image=ImageFacts(content_sha256(content, _query(number)), etag(name, _query(number))),
            indexed_at=_CREATED.isoformat(),
        )

    def _picture(self, number: int) -> tuple[str, bytes]:
        return self._contents[number % len(self._contents)]


def _query(number: int) -> str:
    return f"of={number}"
