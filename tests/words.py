"""Words in the index, held against the texts that stand beside them."""

from collections.abc import Sequence

import pytest
from qdrant_client import models

from shared.models.product import point_id
from shared.qdrant.points import product_of
from shared.qdrant.service import QdrantService
from shared.words.analyser import Analyser

ANALYSER = Analyser(("en", "fr"))


def check_words(service: QdrantService, tenant: str, product_ids: Sequence[str]) -> int:
    """Asserts that the words of every live product are those of its text, and that tombstones have
    none; returns how many are live.
    """
    ids = [point_id(tenant, product_id) for product_id in product_ids]
    live = 0
    for record in service._client.retrieve(
        service.collection, ids, with_payload=True, with_vectors=["words"]
    ):
        payload, vectors = record.payload or {}, record.vector or {}
        assert isinstance(vectors, dict)
        if "tenant" not in payload:
            assert not vectors
            assert not payload.keys() & {"words", "codes"}
            continue
        live += 1
        product = product_of(payload)
        expected = ANALYSER.of_product(product)
        assert payload["words"] == list(expected.terms), payload["id"]
        assert payload["codes"] == list(expected.codes), payload["id"]
        vector = vectors["words"]
        assert isinstance(vector, models.SparseVector)
        assert vector.indices == list(expected.vector.indices), payload["id"]
        assert vector.values == pytest.approx(expected.vector.values), payload["id"]
    return live
