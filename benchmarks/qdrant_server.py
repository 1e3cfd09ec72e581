"""An embedded Qdrant of a benchmark's own, and products to fill it with."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.errors import TransientError
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint
from shared.qdrant.recall import Vectors
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.vectors import VectorSet
from shared.settings import Settings
from stack.run import Stack

TENANT: Final = "default"

_STARTING_SECONDS: Final = 60.0


@contextmanager
def fresh_qdrant() -> Iterator[Mapping[str, str]]:
    """The settings `qdrant_url` and `qdrant_api_key` of an empty server that answers.

    It is gone afterwards, with its directory.
    """
    with tempfile.TemporaryDirectory(prefix="vitrine-qdrant-") as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder))
        with Stack(settings, log_dir=Path(folder) / "logs", only=("qdrant",)) as stack:
            _wait_for(stack)
            yield stack.addresses


def products(vectors: Vectors, first: int = 0, rev: int = 1) -> Sequence[LivePoint]:
    """Products with these vectors and typical fields, numbered from `first` on."""
    return [
        LivePoint(
            tenant=TENANT,
            product=Product(
                id=f"drawn-{number}",
                name=f"Drawn product {number}",
                description="A plain cotton shirt, cut wide, with a round neck. " * 5,
                image_url=f"https://shop.example/pictures/{number}.jpg",
                category="clothing",
                price=19.5,
                attributes={"color": "red", "size": "M", "stock": number % 50},
            ),
            rev=rev,
            vectors=VectorSet.of_image(vector),
            image=ImageFacts(sha256="0" * 64),
            indexed_at="2026-01-01T00:00:00+00:00",
        )
        for number, vector in enumerate(vectors, first)
    ]


def _wait_for(stack: Stack) -> None:
    points = PointTransfer(
        stack.addresses["qdrant_url"], "any", api_key=stack.addresses["qdrant_api_key"]
    )
    deadline = time.monotonic() + _STARTING_SECONDS
    while True:
        stack.check()
        try:
            points.count()
            break
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    points.close()
