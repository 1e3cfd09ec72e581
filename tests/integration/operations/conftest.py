"""An index and a ledger to back up, and another pair to restore into; all on real servers."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import redis

from operations.restore import Target
from shared.errors import ItemCode, ItemTransient
from shared.ledger import (
    Generations,
    Jobs,
    Ledger,
    LedgerLoss,
    LedgerRebuild,
    LedgerRestore,
    LedgerSnapshot,
    connect,
)
from shared.models.change import Change, Claim, Lane, Outcome, Report, Verdict
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint, Tombstone
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from stack.run import ROOT
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess, RedisServer
from worker.reconcile.merge import merge
from worker.reconcile.plan import PendingPut, Plans
from worker.reconcile.reports import picture_put_off

TENANT = "shop"
MODEL = {"CLIP_MODEL": "demo"}


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedQdrantProcess]:
    """One of its own: collections that other tests leave look like another model's products."""
    server = EmbeddedQdrantProcess(tmp_path_factory.mktemp("qdrant"))
    server.start()
    yield server
    server.stop()


@dataclass
class Site:
    """One index and its ledger, with what works on them."""

    qdrant: QdrantService
    points: PointTransfer
    redis: redis.Redis
    ledger: Ledger = field(init=False)
    jobs: Jobs = field(init=False)
    generations: Generations = field(init=False)
    snapshot: LedgerSnapshot = field(init=False)
    rows: LedgerRebuild = field(init=False)
    loss: LedgerLoss = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(
            self.redis, lease_seconds=0.3, job_retention_seconds=600, max_pending=100_000
        )
        self.jobs = Jobs(self.redis)
        self.generations = Generations(self.redis)
        self.snapshot = LedgerSnapshot(self.redis)
        self.rows = LedgerRebuild(self.redis)
        self.loss = LedgerLoss(self.redis, self.points.collection)

    @property
    def target(self) -> Target:
        return Target(
            self.points,
            self.rows,
            self.loss,
            LedgerRestore(self.redis),
            ["color"],
            DIMENSIONS,
        )

    def accept(self, *changes: Change) -> str:
        return self.ledger.accept(TENANT, Lane.BULK, changes).job_id

    def put(self, product_id: str, version: int | None = None, **fields: object) -> str:
        return self.accept(Change.put(product(product_id, version, **fields)))

    def claim(self) -> Claim:
        return self.ledger.claim(list(Lane), 64)

    def write(self, claim: Claim) -> list[Report]:
        """What a worker does between claim and report, without pictures."""
        reports = []
        for wanted in claim.wanted:
            outcome = Outcome.INDEXED if wanted.kind == "put" else Outcome.DELETED
            if wanted.kind == "put":
                held = Product.model_validate_json(wanted.body)
                held = held.model_copy(update={"version": wanted.version})
                self.qdrant.upsert_product(live(held, wanted.rev))
            else:
                stone = Tombstone(wanted.tenant, wanted.product_id, wanted.rev, wanted.version)
                self.qdrant.upsert_product(stone)
            reports.append(Report(wanted.tenant, wanted.product_id, wanted.rev, outcome))
        return reports

    def work(self) -> None:
        """Everything that is due lands."""
        while (claim := self.claim()).wanted:
            self.ledger.report(claim, self.write(claim))

    def fail(self, code: str = "image_timeout", retryable: bool = True) -> None:
        """Everything that is due fails."""
        claim = self.claim()
        self.ledger.report(
            claim,
            [
                Report(w.tenant, w.product_id, w.rev, Outcome.FAILED, code, "no", retryable)
                for w in claim.wanted
            ],
        )

    def put_off(self) -> None:
        """Everything that is due is tried again in an hour."""
        claim = self.claim()
        self.ledger.report(
            claim,
            [
                Report(w.tenant, w.product_id, w.rev, Verdict.RETRY, delay_seconds=3600)
                for w in claim.wanted
            ],
        )

    def show_fields(self, product_id: str, image_url: str, **fields: object) -> str:
        """A put with another picture, whose fields are written while that is to be tried again."""
        job_id = self.put(product_id, image_url=image_url, **fields)
        claim = self.claim()
        (wanted,) = claim.wanted
        held = self.qdrant.stored([(TENANT, product_id)])[TENANT, product_id].product
        assert held is not None
        put = PendingPut(wanted, merge(wanted, held), held)
        put_off = picture_put_off(wanted, 3600, ItemTransient(ItemCode.IMAGE_HTTP_ERROR, "429"))
        self.qdrant.upsert_product(Plans(None).with_fields_first(put, held).point)
        self.ledger.report(claim, [put_off])
        return job_id

    def row(self, product_id: str) -> dict[str, str]:
        return dict(self.redis.hgetall(f"vitrine:row:{TENANT}:{product_id}"))  # type: ignore[arg-type]


def product(product_id: str, version: int | None = None, **fields: object) -> Product:
    given = {"name": product_id, "image_url": "https://shop.example/a.jpg", **fields}
    return Product(id=product_id, version=version, **given)  # type: ignore[arg-type]


def live(held: Product, rev: int) -> LivePoint:
    vector = np.random.default_rng(rev).normal(size=DIMENSIONS)
    return LivePoint(
        tenant=TENANT,
        product=held,
        rev=rev,
        vectors=VectorSet.of_image(vector / np.linalg.norm(vector)),
        image=ImageFacts(sha256=f"sha-{rev}"),
        indexed_at=datetime.now(UTC).isoformat(),
    )


Servers = tuple[EmbeddedQdrantProcess, RedisServer]


@pytest.fixture(scope="session")
def other_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("other")
    servers = EmbeddedQdrantProcess(folder / "qdrant"), RedisServer(folder / "redis")
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


def _site(servers: Servers) -> Iterator[Site]:
    qdrant = servers[0].empty_collection()
    client = connect(servers[1].url)
    client.flushall()
    points = PointTransfer(servers[0].url, qdrant.collection)
    yield Site(qdrant, points, client)
    points.close()
    qdrant.close()
    client.close()


@pytest.fixture
def site(qdrant_server: EmbeddedQdrantProcess, ledger_server: RedisServer) -> Iterator[Site]:
    yield from _site((qdrant_server, ledger_server))


@pytest.fixture
def other(other_servers: Servers) -> Iterator[Site]:
    yield from _site(other_servers)


def run(folder: Path, environ: Mapping[str, str], *command: str) -> tuple[int, str]:
    """Exit code and output of `python -m operations …` as a process."""
    ran = subprocess.run(
        [sys.executable, "-m", "operations", *command],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "CLIP_MODEL": "demo", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def environ(qdrant_server: EmbeddedQdrantProcess, ledger_server: RedisServer) -> Mapping[str, str]:
    return {"QDRANT_URL": qdrant_server.url, "REDIS_URL": ledger_server.url}
