"""`recall` on a server of its own: what a search misses is counted, and told by the exit code."""

import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shared.embedding.identity import collection_name
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint
from shared.qdrant.recall import unit
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from shared.settings import Settings
from tests.integration.operations.conftest import run
from tests.servers import DIMENSIONS

VECTORS = unit(np.random.default_rng(1).normal(size=(40, DIMENSIONS)))


def test_the_shops_own_products_are_searched_for(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    name = collection_name(Settings(_env_file=None, clip_model="demo"))
    points = PointTransfer(environ["QDRANT_URL"], name)
    points.ensure_collection(DIMENSIONS, [])
    service = QdrantService(environ["QDRANT_URL"], name, dimensions=DIMENSIONS)
    tenant = uuid.uuid4().hex
    service.upsert_products(
        [
            LivePoint(
                tenant=tenant,
                product=Product(id=f"p{at}", name="a", image_url="https://shop.example/a.jpg"),
                rev=1,
                vectors=VectorSet.of_image(vector),
                image=ImageFacts(sha256="0"),
                indexed_at="2026-01-01T00:00:00+00:00",
            )
            for at, vector in enumerate(VECTORS)
        ]
    )
    code, said = run(tmp_path, environ, "recall", "--searches", "5")
    assert (code, said.count("recall@10 1.0000 of 5 searches")) == (0, 2), said
    points._client.delete_collection(name)
    points.ensure_collection(DIMENSIONS, [])
    code, said = run(tmp_path, environ, "recall")
    assert (code, said) == (66, f"vitrine: {name} holds no products to search for\n")
    points.close()
    service.close()
