"""What the API tells of an index that searches find less in than they should."""

import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from flask.testing import FlaskClient

from api.app import create_app
from api.bootstrap import build_parts
from api.resources.index_watch import IndexWatch
from shared.errors import QdrantUnavailable
from shared.models.product import ImageFacts, Product
from shared.qdrant.facts import IndexFacts
from shared.qdrant.points import LivePoint
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from shared.settings import Settings
from tests.integration.api.conftest import services_on
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess, RedisServer

Client = Callable[[str], FlaskClient]


@pytest.fixture
def client(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> Iterator[Client]:
    """The API of the model whose collection is named."""
    opened: list[Callable[[], None]] = []

    def make(collection: str) -> FlaskClient:
        settings = Settings(
            _env_file=None,
            redis_url=ledger_server.url,
            redis_cache_url=cache_server.url,
            qdrant_url=qdrant_server.url,
        )
        services, close = services_on(settings, collection)
        opened.append(close)
        return create_app(build_parts(services)).test_client()

    yield make
    for close in opened:
        close()


@pytest.fixture
def two_models(qdrant_server: EmbeddedQdrantProcess) -> Iterator[tuple[str, str]]:
    """A collection with three products, and an empty one."""
    names = (f"products-full-{uuid.uuid4().hex}", f"products-empty-{uuid.uuid4().hex}")
    services = [QdrantService(qdrant_server.url, name, dimensions=DIMENSIONS) for name in names]
    for service in services:
        service.ensure_collection([])
    vectors = VectorSet.of_image(np.eye(DIMENSIONS)[0])
    for name in "abc":
        product = Product(id=name, name=name, image_url="https://shop.example/a.jpg")
        point = LivePoint("default", product, 1, vectors, ImageFacts("s"), "2026-01-01T00:00:00Z")
        services[0].upsert_product(point)
    yield names
    for service in services:
        service._client.delete_collection(service.collection)
        service.close()


def test_another_models_products_are_told_with_the_numbers_of_both(
    client: Client, two_models: tuple[str, str]
) -> None:
    full, empty = two_models
    answer = client(empty).get("/readyz")
    assert answer.status_code == 200
    assert "model_has_no_products" in answer.json["warnings"]
    assert (answer.json["collections"][empty], answer.json["collections"][full]) == (0, 3)
    good = client(full).get("/readyz").json
    assert good["warnings"] == []
    assert "collections" not in good


def test_metrics_tell_how_much_each_collection_holds(
    client: Client, two_models: tuple[str, str]
) -> None:
    full, empty = two_models
    text = client(empty).get("/metrics").text
    assert f'index_products{{collection="{full}",searched="no"}} 3.0' in text
    assert f'index_products{{collection="{empty}",searched="yes"}} 0.0' in text


FACTS = IndexFacts("c", {"c": 1}, has_products=True, is_upgraded=True)


def test_the_index_is_asked_once_for_many_probes() -> None:
    asked: list[int] = []

    def ask() -> IndexFacts:
        asked.append(1)
        return FACTS

    watch = IndexWatch(ask)
    assert [watch.facts() for _ in range(5)] == [FACTS] * 5
    assert len(asked) == 1


def test_an_index_that_can_not_be_asked_says_nothing() -> None:
    def ask() -> IndexFacts:
        raise QdrantUnavailable("gone")

    assert IndexWatch(ask).facts() is None
