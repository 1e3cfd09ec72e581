"""A search service on real servers; the text encoder counts instead of computing."""

import hashlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from shared.caches.answers import AnswerCache
from shared.caches.connection import CacheConnection
from shared.caches.query_vectors import QueryVectorCache
from shared.embedding.encoder import Vector
from shared.ledger import Generations, Ledger, connect
from shared.models.change import EVERYTHING, Change, Lane, Outcome, Report
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint
from shared.qdrant.service import QdrantService
from shared.search.service import SearchService
from tests.servers import EmbeddedQdrantProcess, RedisServer

TENANT = "shop"


class CountingEncoder:
    """A vector from the text's digest; `gate`, where set, holds computations up."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.gate: threading.Event | None = None

    def embed_text(self, text: str) -> Vector:
        self.texts.append(text)
        if self.gate:
            self.gate.wait(10)
        digest = np.frombuffer(hashlib.sha512(text.encode()).digest() * 8, np.uint8)
        vector: Vector = digest.astype(np.float32)
        return vector / np.float32(np.linalg.norm(vector))


@dataclass
class Searching:
    """A search service with what stands behind it."""

    service: SearchService
    encoder: CountingEncoder
    ledger: Ledger
    qdrant: QdrantService

    def put(self, name: str, price: float, product_id: str = "p") -> None:
        """Takes one product all the way a worker would."""
        product = Product(id=product_id, name=name, image_url="http://h/x.jpg", price=price)
        self.ledger.accept(TENANT, Lane.BULK, [Change.put(product)])
        claim = self.ledger.claim([Lane.BULK], 64)
        (wanted,) = claim.wanted
        vector = CountingEncoder().embed_text("red shirt")
        facts = ImageFacts("0" * 64)
        self.qdrant.upsert_product(
            LivePoint(TENANT, product, wanted.rev, vector, facts, "2026-01-01T00:00:00+00:00")
        )
        report = Report(TENANT, product_id, wanted.rev, Outcome.INDEXED, changed=EVERYTHING)
        self.ledger.report(claim, [report])


@pytest.fixture(scope="session")
def ledger_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("ledger"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def cache_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("cache"), role="cache")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedQdrantProcess]:
    server = EmbeddedQdrantProcess(tmp_path_factory.mktemp("qdrant"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def searching(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> Iterator[Searching]:
    client = connect(ledger_server.url)
    client.flushall()
    cache = CacheConnection(cache_server.url)
    qdrant = QdrantService(qdrant_server.url, f"products-test-{uuid.uuid4().hex}")
    qdrant.ensure_collection([])
    encoder = CountingEncoder()
    service = SearchService(
        encoder=encoder,
        qdrant=qdrant,
        generations=Generations(client),
        answers=AnswerCache(cache, 3600),
        vectors=QueryVectorCache(cache, qdrant.collection, 512),
        timeout_seconds=5.0,
    )
    ledger = Ledger(client, lease_seconds=10, job_retention_seconds=600, max_pending=1000)
    yield Searching(service, encoder, ledger, qdrant)
    qdrant.close()
    cache.close()
    client.close()
