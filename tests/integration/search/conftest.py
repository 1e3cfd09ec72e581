"""A search service on real servers; the encoder counts instead of computing."""

import hashlib
import threading
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from shared.embedding.encoder import PreparedImage, Vector
from shared.errors import ItemCode, ItemFault, ItemPermanent
from shared.ledger import ChangeLog, Generations, Ledger, connect
from shared.models.change import EVERYTHING, Aspect, Change, Claim, Lane, Outcome, Report
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint, PayloadWrite, Tombstone
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from shared.qdrant.words import words_of
from shared.search.bootstrap import build_search
from shared.search.cache.redis import CacheConnection
from shared.search.service import SearchService
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess, RedisServer
from tests.words import ANALYSER

TENANT = "shop"


class CountingEncoder:
    """A vector from the text's digest; `gate`, where set, holds computations up."""

    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.pictures = 0
        self.prepared = 0
        self.preparing = threading.Event()
        self.gate: threading.Event | None = None

    def embed_text(self, text: str, _timeout: float = 5.0) -> Vector:
        self.texts.append(text)
        if self.gate:
            self.gate.wait(60)
        return direction(text.encode())

    def embed_texts(self, texts: Sequence[str], _timeout: float = 5.0) -> Vector:
        return np.stack([direction(text.encode()) for text in texts])

    def prepare(
        self,
        data: bytes,
        timeout: float | None = None,  # noqa: ARG002 - the service's signature
        *,
        urgent: bool = False,  # noqa: ARG002
    ) -> PreparedImage:
        self.prepared += 1
        if not data.startswith(b"picture"):
            self.preparing.set()
            if self.gate:
                self.gate.wait(60)
            raise ItemPermanent(ItemCode.NOT_AN_IMAGE, "no picture")
        return direction(data)

    def embed_images(
        self,
        pictures: Sequence[PreparedImage],
        timeout: float,  # noqa: ARG002 - the service's signature
    ) -> list[Vector | ItemFault]:
        if self.gate:
            self.gate.wait(60)
        self.pictures += len(pictures)
        return list(pictures)


def direction(content: bytes) -> Vector:
    """A unit vector; those of different contents are far from each other."""
    digest = np.frombuffer(hashlib.sha512(content).digest() * 8, np.int8)
    vector: Vector = digest.astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


@dataclass
class Searching:
    """A search service with what stands behind it."""

    service: SearchService
    encoder: CountingEncoder
    ledger: Ledger
    qdrant: QdrantService
    pages: dict[str, bytes]
    """What URLs serve."""

    def put(
        self,
        name: str,
        price: float,
        product_id: str = "p",
        *,
        vector: Vector | None = None,
        changed: Set[Aspect] = EVERYTHING,
        **fields: Any,
    ) -> None:
        """Takes one product all the way a worker would."""
        claim = self.write(name, price, product_id, vector=vector, **fields)
        rev = claim.wanted[0].rev
        self.ledger.report(
            claim, [Report(TENANT, product_id, rev, Outcome.INDEXED, changed=changed)]
        )

    def write(
        self,
        name: str,
        price: float,
        product_id: str = "p",
        *,
        vector: Vector | None = None,
        **fields: Any,
    ) -> Claim:
        """As a worker that dies before its report."""
        product = Product(
            id=product_id, name=name, image_url="http://h/x.jpg", price=price, **fields
        )
        self.ledger.accept(TENANT, Lane.BULK, [Change.put(product)])
        claim = self.ledger.claim([Lane.BULK], 64)
        (wanted,) = claim.wanted
        if vector is None:
            vector = direction(b"red shirt")
        facts = ImageFacts("0" * 64)
        self.qdrant.upsert_product(
            LivePoint(
                TENANT,
                product,
                wanted.rev,
                VectorSet.of_image(vector),
                facts,
                "2026-01-01T00:00:00+00:00",
                words=words_of(ANALYSER, product),
            )
        )
        return claim

    def put_again(self, product: Product, changed: Set[Aspect]) -> None:
        """Changes fields of one that is live, as a worker would."""
        self.ledger.accept(TENANT, Lane.FAST, [Change.put(product)])
        claim = self.ledger.claim([Lane.FAST], 64)
        (wanted,) = claim.wanted
        write = PayloadWrite(
            TENANT,
            product,
            wanted.rev,
            ImageFacts("0" * 64),
            "2026-01-01T00:00:00+00:00",
            words=words_of(ANALYSER, product),
        )
        self.qdrant.upsert_products([write])
        report = Report(TENANT, product.id, wanted.rev, Outcome.INDEXED, changed=changed)
        self.ledger.report(claim, [report])

    def delete(self, product_id: str) -> None:
        """Likewise takes one away."""
        self.ledger.accept(TENANT, Lane.FAST, [Change.delete(product_id)])
        claim = self.ledger.claim([Lane.FAST], 64)
        (wanted,) = claim.wanted
        self.qdrant.upsert_product(Tombstone(TENANT, product_id, wanted.rev))
        report = Report(TENANT, product_id, wanted.rev, Outcome.DELETED, changed=EVERYTHING)
        self.ledger.report(claim, [report])


@pytest.fixture
def cache_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("cache"), role="cache")
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
    qdrant = qdrant_server.kept_collection()
    pages: dict[str, bytes] = {}
    encoder = CountingEncoder()
    service = build_search(
        encoder=encoder,
        analyser=ANALYSER,
        fetch=pages.__getitem__,
        qdrant=qdrant,
        generations=Generations(client),
        changes=ChangeLog(client),
        cache=cache,
        cache_ttl=3600,
        timeout_seconds=5.0,
    )
    ledger = Ledger(client, lease_seconds=10, job_retention_seconds=600, max_pending=1000)
    yield Searching(service, encoder, ledger, qdrant, pages)
    service.close()
    cache.close()
    client.close()
