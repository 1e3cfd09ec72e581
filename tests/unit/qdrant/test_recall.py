"""How the recall of searches is measured, without a server."""

import numpy as np
import pytest

from shared.models.search.filters import Filters
from shared.models.search.hits import Hit
from shared.qdrant.recall import around, measure, unit
from shared.qdrant.service import QdrantService

VECTORS = unit(np.random.default_rng(1).normal(size=(40, 512)))


class HalfBlind(QdrantService):
    """Finds only every second product, unless it is asked to compare all."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "none")

    def search(
        self,
        tenant: str,
        vector: object,
        filters: Filters,
        top_k: int,
        offset: int = 0,
        *,
        min_score: float | None = None,
        without_group: str | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        del tenant, vector, filters, offset, min_score, without_group
        payloads = ({"id": f"p{at}", "name": "", "image_url": ""} for at in range(top_k))
        return [Hit.of(payload, 1.0) for payload in payloads][:: 1 if exact else 2]


def test_what_a_search_misses_is_counted() -> None:
    (words,) = measure(HalfBlind(), {"words": [("default", vector) for vector in VECTORS[:4]]})
    assert words.share == 0.5
    assert str(words).startswith("words: recall@10 0.5000 of 4 searches; ")


def test_searches_lie_around_products_as_pictures_and_words_do() -> None:
    pictures, words = around(VECTORS)
    assert (pictures * VECTORS).sum(axis=1).mean() == pytest.approx(0.9, abs=0.02)
    assert (words * VECTORS).sum(axis=1).mean() == pytest.approx(0.3, abs=0.1)
