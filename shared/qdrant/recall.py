"""How many of the ten nearest products the configured search finds, against exact search.

Searches are drawn around products. Those by picture lie near a product. Those by words lie at a
cosine of 0.3 from one, in one direction away from all pictures: for a graph that was built on
pictures this is the hardest case.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.models.search.filters import Filters
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from shared.qdrant.tuning import IndexTuning
from shared.qdrant.vectors import IMAGE
from shared.settings import Settings

TOP: Final = 10

LEAST: Final = 0.98
"""The recall that a search must reach."""

_READ_SECONDS: Final = 120.0
"""Exact search is measured, not given up."""

_WORDS_COSINE: Final = 0.3
_ASIDE: Final = 0.5
"""A search by picture is by another picture than the product's: a cosine around 0.9."""

Vectors = NDArray[np.float32]
"""Rows of length one, of shape (count, dimensions)."""

Searches = Mapping[str, Sequence[tuple[str, Vectors]]]
"""The searches of each kind, each with its tenant."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Of one kind of search: the share that it finds of what exact search finds, and the medians
    of the seconds that the two take.
    """

    kind: str
    searches: int
    share: float
    seconds: float
    exact_seconds: float

    def __str__(self) -> str:
        times = self.seconds / self.exact_seconds
        return (
            f"{self.kind}: recall@{TOP} {self.share:.4f} of {self.searches} searches; "
            f"{1000 * self.seconds:.2f} ms, {times:.2f} times exact search's "
            f"{1000 * self.exact_seconds:.2f} ms"
        )


def patient_service(settings: Settings, collection: str, dimensions: int | None) -> QdrantService:
    """A service on the collection that waits for exact search over many products.

    `dimensions`: numbers in a vector; None if they can't be told.
    """
    return QdrantService(
        settings.qdrant_url,
        collection,
        dimensions=dimensions,
        api_key=settings.qdrant_api_key,
        tuning=IndexTuning.of(settings),
        read_timeout=_READ_SECONDS,
        write_timeout=_READ_SECONDS,
    )


def searches_around(points: PointTransfer, count: int) -> Searches:
    """Searches of both kinds around at most `count` live products of the collection; none if it
    holds none. Raises QdrantUnavailable and QdrantRejected.
    """
    # The points' order is that of hashes, so the first ones are a fair sample.
    live = (point for point in chain.from_iterable(points.points()) if not point.is_tombstone)
    sample = [(point.tenant, point.vectors.get(IMAGE)) for point in islice(live, count)]
    held = [(tenant, vector) for tenant, vector in sample if vector is not None]
    if not held:
        return {}
    pictures, words = around(np.stack([vector for _, vector in held]))
    tenants = [tenant for tenant, _ in held]
    return {
        "pictures": list(zip(tenants, pictures, strict=True)),
        "words": list(zip(tenants, words, strict=True)),
    }


def measure(service: QdrantService, searches: Searches) -> Sequence[Recall]:
    """The recall of each kind of search. Raises QdrantUnavailable and QdrantRejected."""
    return [_measure(service, kind, asked) for kind, asked in searches.items()]


def _measure(service: QdrantService, kind: str, searches: Sequence[tuple[str, Vectors]]) -> Recall:
    found = wanted = 0
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for tenant, vector in searches:
        ids: dict[bool, set[str]] = {}
        for exact, took in seconds.items():  # in turns: other work slows both alike
            began = time.perf_counter()
            hits = service.search(tenant, vector, Filters(), TOP, exact=exact)
            took.append(time.perf_counter() - began)
            ids[exact] = {hit.product_id for hit in hits}
        found += len(ids[False] & ids[True])
        wanted += len(ids[True])
    configured, exactly = (statistics.median(took) for took in seconds.values())
    return Recall(kind, len(searches), found / wanted, configured, exactly)


def around(products: Vectors) -> tuple[Vectors, Vectors]:
    """Searches by picture and by words around products, one of each for each product."""
    rng = np.random.default_rng(0)
    aside = unit(rng.normal(size=products.shape))
    return unit(products + _ASIDE * aside), away_from(products, rng)


def away_from(products: Vectors, rng: np.random.Generator) -> Vectors:
    """Searches by words: all in one direction away from pictures."""
    away = unit(rng.normal(size=(1, products.shape[1])))
    return unit(_WORDS_COSINE * products + (1 - _WORDS_COSINE**2) ** 0.5 * away)


def unit(vectors: NDArray[Any]) -> Vectors:
    """The vectors at length one, as float32."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)
