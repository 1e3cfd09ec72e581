"""The API on a real ledger and a real index; only the encoder is a small stand-in."""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from api.access.keys import add_key
from api.app import create_app
from api.bootstrap import Services, build_parts, picture_fetch
from shared.doorbell import Doorbell, celery_app
from shared.embedding.decoding.pictures import decode_picture
from shared.embedding.encoder import PreparedImage
from shared.errors import ItemFault
from shared.ledger import ChangeLog, Generations, Jobs, Ledger, LedgerLoss, connect
from shared.ledger.connection import SOCKET_TIMEOUT_SECONDS
from shared.models.change import Claim, Kind, Lane, Outcome, Report
from shared.models.product import ImageFacts
from shared.qdrant.points import LivePoint, Tombstone
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from shared.qdrant.words import words_of
from shared.search.bootstrap import build_search
from shared.search.cache.redis import CacheConnection
from shared.search.cache.vectors import Vector
from shared.settings import Settings
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess, RedisServer
from tests.words import ANALYSER
from worker.reconcile.merge import merge
from worker.reconcile.reports import landed


class WordEncoder:
    """Stands in for the model, for its slowness: texts that share words lie close."""

    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self.fault: Exception | None = None
        """Raised by every call, if set."""

    def embed_text(self, text: str, _timeout: float = 5.0) -> Vector:
        if self.fault is not None:
            raise self.fault
        vector = np.full(self.dimensions, 0.01, np.float32)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            vector += np.random.default_rng(seed).normal(size=self.dimensions).astype(np.float32)
        return vector / np.float32(np.linalg.norm(vector))

    def embed_texts(self, texts: Sequence[str], _timeout: float = 5.0) -> Vector:
        return np.stack([self.embed_text(text) for text in texts])

    def prepare(
        self,
        data: bytes,
        timeout: float | None = None,  # noqa: ARG002 - the service's signature
        *,
        urgent: bool = False,  # noqa: ARG002
    ) -> PreparedImage:
        """The picture in 12 × 12 dots: alike pictures lie close."""
        dots = np.asarray(decode_picture(data, 1_000_000).resize((12, 12)), np.float32)
        return dots.reshape(-1) / 255

    def embed_images(
        self,
        pictures: Sequence[PreparedImage],
        timeout: float,  # noqa: ARG002 - the service's signature
    ) -> list[Vector | ItemFault]:
        vectors: list[Vector | ItemFault] = []
        for dots in pictures:
            vector = np.zeros(self.dimensions, np.float32)
            vector[: dots.size] = dots + 0.01
            vectors.append(vector / np.float32(np.linalg.norm(vector)))
        return vectors

    def embed_picture(self, data: bytes) -> Vector:
        (vector,) = self.embed_images([self.prepare(data)], 1)
        assert isinstance(vector, np.ndarray)
        return vector

    def check(self) -> None:
        self.embed_text("ready")


class CheckingClient(FlaskClient):
    """Holds every answer of every test against the API's own description of it."""

    description: dict[str, Any] | None = None

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        if self.description is None:
            self.description = super().open("/openapi.json").get_json()
        _check(self.application, self.description, response)
        return response


def _check(app: Flask, description: dict[str, Any], response: TestResponse) -> None:
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    asked = response.request
    if asked.method in ("HEAD", "OPTIONS"):
        return
    problem = response.status_code >= 400
    if problem:
        assert response.content_type == "application/problem+json"
        assert response.json["status"] == response.status_code
        assert response.json["code"]
        assert ("Retry-After" in response.headers) == (response.status_code in (429, 503))
    try:
        rule, _ = app.url_map.bind("localhost").match(
            asked.path, method=asked.method, return_rule=True
        )
    except HTTPException:
        return
    template = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
    described = description["paths"].get(template) or description["paths"].get(
        template.removeprefix("/api/v1")
    )
    if described is None:
        assert "/docs/" in template
        return
    answers = described[asked.method.lower()]["responses"]
    assert str(response.status_code) in answers, f"{template} is not said to answer so"
    answer = answers[str(response.status_code)]
    media_type = response.mimetype
    assert media_type in answer["content"]
    if response.is_json and not problem:
        for name in answer.get("headers", {}):
            assert name in response.headers
    if response.is_json:
        schema = answer["content"][media_type]["schema"]
        Draft202012Validator({**schema, "components": description["components"]}).validate(
            response.json
        )


@dataclass
class Shop:
    """The API as one shop's client sees it, and a worker to play in its place."""

    http: FlaskClient
    services: Services
    encoder: WordEncoder
    tenant: str
    pictures: dict[str, bytes] = field(default_factory=dict)
    """By product, where it isn't the name that its vector is made of."""

    def work(self, fail: dict[str, str] | None = None, *, retryable: bool = False) -> Claim:
        """Does at once what workers would do: all that is due lands, or fails with a code."""
        claim = self.services.ledger.claim(list(Lane), 10_000)
        reports = []
        for wanted in claim.wanted:
            code = (fail or {}).get(wanted.product_id)
            if code:
                report = Report(
                    wanted.tenant,
                    wanted.product_id,
                    wanted.rev,
                    Outcome.FAILED,
                    code,
                    "told so",
                    retryable,
                )
            elif wanted.kind is Kind.PUT:
                product = merge(wanted, None).product
                self.services.qdrant.upsert_product(
                    LivePoint(
                        tenant=wanted.tenant,
                        product=product,
                        rev=wanted.rev,
                        vectors=VectorSet.of_image(
                            self.encoder.embed_picture(self.pictures[product.id])
                            if product.id in self.pictures
                            else self.encoder.embed_text(product.name)
                        ),
                        image=ImageFacts(sha256="0" * 64),
                        indexed_at="2026-01-01T00:00:00Z",
                        words=words_of(ANALYSER, product),
                    )
                )
                report = landed(wanted, Outcome.INDEXED)
            else:
                self.services.qdrant.upsert_product(
                    Tombstone(tenant=wanted.tenant, product_id=wanted.product_id, rev=wanted.rev)
                )
                report = landed(wanted, Outcome.DELETED)
            reports.append(report)
        self.services.ledger.report(claim, reports)
        return claim


def services_on(
    settings: Settings, index: QdrantService | str, ledger_timeout: float = SOCKET_TIMEOUT_SECONDS
) -> tuple[Services, Callable[[], None]]:
    """The API's collaborators on the settings' servers, and what closes them.

    `index`: the service, which is left open, or the name of a collection. By default they notice a
    frozen ledger sooner than a long-poll of more than a second takes.
    """
    client = connect(settings.redis_url, timeout=ledger_timeout)
    qdrant = (
        QdrantService(settings.qdrant_url, index, dimensions=DIMENSIONS)
        if isinstance(index, str)
        else index
    )
    cache = CacheConnection(settings.redis_cache_url)
    encoder = WordEncoder()
    search = build_search(
        encoder=encoder,
        analyser=ANALYSER,
        fetch=picture_fetch(settings),
        qdrant=qdrant,
        generations=Generations(client),
        changes=ChangeLog(client),
        cache=cache,
        cache_ttl=60,
        timeout_seconds=5,
        in_stock_first=settings.search_in_stock_first,
    )
    services = Services(
        settings=settings,
        ledger=Ledger(
            client,
            lease_seconds=30,
            job_retention_seconds=600,
            max_pending=settings.ledger_max_pending,
        ),
        loss=LedgerLoss(client, qdrant.collection),
        jobs=Jobs(client),
        doorbell=Doorbell(celery_app(settings.celery_broker_url)),
        qdrant=qdrant,
        search=search,
        embedding=encoder,
    )

    def close() -> None:
        search.close()
        client.close()
        if isinstance(index, str):
            qdrant.close()
        cache.close()

    return services, close


def product(product_id: str = "prod_001", **fields: Any) -> dict[str, Any]:
    """A product as a shop sends it."""
    return {
        "id": product_id,
        "name": "Red Shirt",
        "image_url": "https://shop.example/shirt.jpg",
        **fields,
    }


MakeShop = Callable[..., Shop]


@pytest.fixture(scope="session")
def index(qdrant_server: EmbeddedQdrantProcess) -> Iterator[QdrantService]:
    """One for all tests, which stay apart by their tenants: a client takes 50 ms of processor time
    to make, and a collection a second.
    """
    name = f"products-api-{uuid.uuid4().hex}"
    service = QdrantService(qdrant_server.url, name, dimensions=DIMENSIONS)
    service.ensure_collection(["color"])
    yield service
    service.close()


@pytest.fixture(scope="session")
def collection(index: QdrantService) -> str:
    """Its name."""
    return index.collection


@pytest.fixture
def make_shop(
    ledger_server: RedisServer,
    cache_server: RedisServer,
    qdrant_server: EmbeddedQdrantProcess,
    index: QdrantService,
    tmp_path: Path,
) -> Iterator[MakeShop]:
    """Shops on an empty ledger, each a tenant with a key of its own. Arguments are settings."""
    opened: list[Callable[[], None]] = []
    keys_file = tmp_path / "api-keys"

    def make(
        *,
        with_keys: bool = True,
        ledger_url: str = ledger_server.url,
        broker_url: str = ledger_server.url,
        qdrant_url: str = qdrant_server.url,
        **values: Any,
    ) -> Shop:
        tenant, key = "default", ""
        if with_keys:
            tenant = uuid.uuid4().hex
            key = add_key(keys_file, tenant)
            values["api_keys_file"] = keys_file
        settings = Settings(
            _env_file=None,
            redis_url=ledger_url,
            broker_url=broker_url,
            redis_cache_url=cache_server.url,
            qdrant_url=qdrant_url,
            **values,
        )
        is_ours = qdrant_url == qdrant_server.url
        services, close = services_on(settings, index if is_ours else index.collection)
        opened.append(close)
        app = create_app(build_parts(services))
        app.test_client_class = CheckingClient
        http = app.test_client()
        if key:
            http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        assert isinstance(services.embedding, WordEncoder)
        return Shop(http, services, services.embedding, tenant)

    admin = redis.Redis.from_url(ledger_server.url)
    admin.flushall()
    admin.close()
    yield make
    for close in opened:
        close()


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """One shop."""
    return make_shop()
