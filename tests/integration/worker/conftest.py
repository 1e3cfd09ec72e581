"""A worker's parts on real servers; only the model is replaced, for its slowness."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import redis

from shared.embedding.encoder import Vector
from shared.embedding.service import PreparedPicture
from shared.errors import ItemCode, ItemFault, ItemPermanent
from shared.fetch.fetcher import Fetcher
from shared.ledger import Jobs, Ledger
from shared.models.change import Change, Lane, Outcome
from shared.models.job import Job
from shared.models.product import Product, StoredProduct
from shared.qdrant.service import QdrantService
from tests.integration.fetch.picture_server import LOOPBACK
from tests.pictures import PictureServer, blank_picture
from tests.words import ANALYSER
from worker.bells import Bells
from worker.pictures.reader import PictureReader
from worker.reconcile.reconciler import Reconciler
from worker.reconcile.reports import RetryPolicy
from worker.upkeep.leases import LeaseKeeper

TENANT = "shop"
LEASE_SECONDS = 1.0
INDEXES = ["color", "in_stock:bool", "rating:float"]


class HashingEncoder:
    """Stands in for the model: a vector from the picture's bytes. Counts what it embeds, and
    how much of it overtakes."""

    def __init__(self) -> None:
        self.embedded = 0
        self.urgent = 0
        self.decoded_urgently = 0
        self.refused: set[bytes] = set()

    def prepare(
        self,
        data: bytes,
        timeout: float | None = None,  # noqa: ARG002 - the service's signature
        *,
        urgent: bool = False,
    ) -> PreparedPicture:
        self.decoded_urgently += urgent
        if data.startswith(b"<html"):
            raise ItemPermanent(ItemCode.NOT_AN_IMAGE, "no picture")
        if data in self.refused:
            raise ZeroDivisionError("a fault of our own")
        pixels = np.frombuffer(hashlib.sha512(data).digest() * 8, np.uint8).astype(np.float32)
        return PreparedPicture(pixels, blank=data == blank_picture())

    def embed_images(
        self, pictures: Sequence[PreparedPicture], *, urgent: bool = False
    ) -> list[Vector | ItemFault]:
        self.embedded += len(pictures)
        self.urgent += len(pictures) if urgent else 0
        return [picture.pixels / np.linalg.norm(picture.pixels) for picture in pictures]


class Bell:
    """Counts the rings; tests answer them by hand."""

    def __init__(self) -> None:
        self.rings: list[Lane] = []

    def ring(self, lane: Lane) -> None:
        self.rings.append(lane)


@dataclass
class Worker:
    """One worker's reconciler with its collaborators in reach."""

    ledger: Ledger
    jobs: Jobs
    qdrant: QdrantService
    pictures: PictureServer
    encoder: HashingEncoder
    reconciler: Reconciler
    bells: Bells
    bell: Bell = field(default_factory=Bell)

    def push(self, *products: Product, lane: Lane = Lane.BULK) -> str:
        changes = [Change.put(product, at) for at, product in enumerate(products)]
        return self.ledger.accept(TENANT, lane, changes).job_id

    def product(self, name: str, data: bytes | None = None, **fields: object) -> Product:
        path = f"/{name}.jpg"
        if data is not None:
            self.pictures.add(path, data)
        given = {"id": name, "name": name.title(), "image_url": self.pictures.url + path}
        return Product.model_validate({**given, **fields})

    def patch(self, product_id: str, **fields: object) -> str:
        return self.ledger.accept(TENANT, Lane.FAST, [Change.patch(product_id, fields)]).job_id

    def stored(self, product_id: str) -> StoredProduct:
        found = self.qdrant.get_product(TENANT, product_id, with_embedding=True)
        assert found is not None
        return found

    def job(self, job_id: str) -> Job:
        job = self.jobs.get(TENANT, job_id)
        assert job is not None
        return job

    def counts(self, job_id: str) -> dict[Outcome, int]:
        return {outcome: count for outcome, count in self.job(job_id).counts.items() if count}


@pytest.fixture
def pictures() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


@pytest.fixture
def worker(client: redis.Redis, qdrant: QdrantService, pictures: PictureServer) -> Iterator[Worker]:
    ledger = Ledger(
        client, lease_seconds=LEASE_SECONDS, job_retention_seconds=600, max_pending=100_000
    )
    encoder, bell = HashingEncoder(), Bell()
    fetcher = Fetcher(LOOPBACK, max_bytes=2**20, timeout_seconds=5.0)
    reader = PictureReader(fetcher, encoder, threads=8)
    leases = LeaseKeeper(ledger, LEASE_SECONDS)
    leases.start()
    reconciler = Reconciler(
        ledger=ledger,
        ring=bell.ring,
        qdrant=qdrant,
        pictures=reader,
        retries=RetryPolicy(max_attempts=2, base_seconds=0.0, not_found_seconds=0.0),
        attribute_indexes=INDEXES,
        analyser=ANALYSER,
    )
    bells = Bells(
        ledger=ledger,
        doorbell=bell,
        qdrant=qdrant,
        leases=leases,
        work=reconciler.work_off,
        lanes=[Lane.FAST, Lane.SINGLE, Lane.BULK],
        attribute_indexes=INDEXES,
    )
    yield Worker(ledger, Jobs(client), qdrant, pictures, encoder, reconciler, bells, bell)
    leases.stop()
    reader.close()
    fetcher.close()
