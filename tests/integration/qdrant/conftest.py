"""Qdrant servers: the embedded one always, and a real one where TEST_QDRANT_URL names it."""

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest

from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess

REAL_URL = os.environ.get("TEST_QDRANT_URL")

MakePoint = Callable[..., LivePoint]


@pytest.fixture(scope="session", params=["embedded", *(["real"] if REAL_URL else [])])
def server_url(request: pytest.FixtureRequest) -> str:
    """Every test that asks for it holds on each server; one that is gone fails the test."""
    if request.param == "real":
        assert REAL_URL is not None
        return REAL_URL.rstrip("/")
    server: EmbeddedQdrantProcess = request.getfixturevalue("qdrant_server")
    return server.url


@pytest.fixture(scope="session")
def http(server_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server_url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def qdrant(server_url: str, http: httpx.Client) -> Iterator[QdrantService]:
    """One collection for the session; tests stay apart by their tenants."""
    service = QdrantService(server_url, f"test-{uuid.uuid4().hex}", dimensions=DIMENSIONS)
    service.ensure_collection(["color", "shoe size"])
    yield service
    service.close()
    http.delete(f"/collections/{service.collection}").raise_for_status()


@pytest.fixture
def tenant() -> str:
    return uuid.uuid4().hex


def direction(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A unit vector; those of different seeds are nearly orthogonal."""
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def make_point(tenant: str) -> MakePoint:
    """Live points of the test's tenant; further arguments are the product's fields."""

    def make(
        product_id: str, rev: int, *, seed: int = 0, tenant: str = tenant, **fields: Any
    ) -> LivePoint:
        fields = {"name": product_id, "image_url": "https://shop.example/a.jpg", **fields}
        return LivePoint(
            tenant=tenant,
            product=Product(id=product_id, **fields),
            rev=rev,
            vectors=VectorSet.of_image(direction(seed)),
            image=ImageFacts(sha256=f"sha-{seed}"),
            indexed_at=datetime.now(UTC).isoformat(),
        )

    return make
