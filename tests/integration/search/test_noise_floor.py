"""Each tenant's noise floor, measured on the real index and shared through the real cache."""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import structlog.testing
from numpy.typing import NDArray

from shared.errors import EncoderBusy
from shared.models.product import ImageFacts, Product
from shared.qdrant.points import LivePoint
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from shared.search.cache.redis import CacheConnection
from shared.search.noise.floor import NoiseFloor
from shared.search.noise.keeper import NoiseFloors
from tests.integration.search.conftest import TENANT, direction
from tests.servers import EmbeddedQdrantProcess, RedisServer

PRODUCTS = 120


class NameEncoder:
    """A name's vector is its picture's; `busy`: how many calls fail before that."""

    def __init__(self, busy: int = 0) -> None:
        self.names: list[str] = []
        self.busy = busy

    def embed_texts(self, texts: Sequence[str], _timeout: float = 5.0) -> NDArray[np.float32]:
        if self.busy:
            self.busy -= 1
            raise EncoderBusy("no free slot")
        self.names += texts
        return np.stack([direction(text.encode()) for text in texts])


@pytest.fixture
def qdrant(qdrant_server: EmbeddedQdrantProcess) -> QdrantService:
    return qdrant_server.kept_collection()


Fill = Callable[[int, int], None]


@pytest.fixture
def fill(qdrant: QdrantService) -> Fill:
    """Writes so many products, in so many variants each."""

    def write(products: int, variants: int) -> None:
        for group in range(products):
            name = f"product {group}"
            points = [
                LivePoint(
                    TENANT,
                    Product(
                        id=f"{group}-{variant}",
                        name=name,
                        image_url="http://h/x.jpg",
                        group_id=str(group),
                    ),
                    1,
                    VectorSet.of_image(direction(name.encode())),
                    ImageFacts(f"{group:064}"),
                    "2026-01-01T00:00:00+00:00",
                )
                for variant in range(variants)
            ]
            qdrant.upsert_products(points)

    return write


@pytest.fixture
def cache(cache_server: RedisServer) -> Iterator[CacheConnection]:
    connection = CacheConnection(cache_server.url)
    yield connection
    connection.close()


def once_measured(floors: NoiseFloors, products: int = PRODUCTS) -> NoiseFloor:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        floor = floors.of(TENANT, products)
        if floor is not None:
            return floor
        time.sleep(0.02)
    raise AssertionError("no floor was measured")


def test_the_first_look_waits_for_nothing_and_other_processes_share_the_measurement(
    qdrant: QdrantService, cache: CacheConnection, fill: Fill
) -> None:
    fill(PRODUCTS, 1)
    encoder = NameEncoder()
    floors = NoiseFloors(encoder, qdrant, cache)
    assert floors.of(TENANT, PRODUCTS) is None
    floor = once_measured(floors)
    assert sorted(encoder.names) == sorted(f"product {number}" for number in range(PRODUCTS))
    second = NameEncoder()
    other = NoiseFloors(second, qdrant, cache)
    shared = other.of(TENANT, PRODUCTS)
    assert shared is not None
    assert shared.version == floor.version
    assert (shared.mean == floor.mean).all()
    assert (shared.text, shared.picture) == (floor.text, floor.picture)
    floors.close()
    other.close()
    assert not second.names


def test_few_products_have_no_floor_and_cost_nothing(
    qdrant: QdrantService, cache: CacheConnection, fill: Fill
) -> None:
    fill(3, 1)
    encoder = NameEncoder()
    floors = NoiseFloors(encoder, qdrant, cache)
    assert floors.of(TENANT, 99) is None
    floors.close()
    assert not encoder.names


def test_variants_of_one_product_count_once(
    qdrant: QdrantService, cache: CacheConnection, fill: Fill
) -> None:
    fill(40, 3)
    encoder = NameEncoder()
    floors = NoiseFloors(encoder, qdrant, cache)
    once_measured(floors)
    floors.close()
    assert sorted(encoder.names) == sorted({f"product {number}" for number in range(40)})


def test_a_catalogue_of_one_product_in_many_variants_has_no_floor(
    qdrant: QdrantService, cache: CacheConnection, fill: Fill
) -> None:
    fill(1, 120)
    encoder = NameEncoder()
    floors = NoiseFloors(encoder, qdrant, cache)
    assert floors.of(TENANT, PRODUCTS) is None
    floors.close()
    assert floors.of(TENANT, PRODUCTS) is None
    assert not encoder.names


def test_a_floor_is_measured_anew_when_the_catalogue_has_grown(
    qdrant: QdrantService,
    cache: CacheConnection,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.search.noise.keeper._RETRY_SECONDS", 0.0)
    fill(PRODUCTS, 1)
    floors = NoiseFloors(NameEncoder(), qdrant, cache)
    assert once_measured(floors).products == PRODUCTS
    grown = 2 * PRODUCTS
    # The floor of before serves until then.
    renewed = floors.of(TENANT, grown)
    assert renewed is not None
    deadline = time.monotonic() + 60
    while renewed.products != grown and time.monotonic() < deadline:
        time.sleep(0.02)
        renewed = floors.of(TENANT, grown) or renewed
    floors.close()
    assert renewed.products == grown


def test_an_encoder_that_is_busy_is_asked_again_later_and_told_in_the_log(
    qdrant: QdrantService,
    cache: CacheConnection,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.search.noise.keeper._RETRY_SECONDS", 0.0)
    fill(PRODUCTS, 1)
    with structlog.testing.capture_logs() as logs:
        floors = NoiseFloors(NameEncoder(busy=1), qdrant, cache)
        once_measured(floors)
        floors.close()
    assert "noise_floor_not_measured" in {entry["event"] for entry in logs}


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b"\xff", b'{"mean": "?"}'])
def test_what_cannot_be_read_is_measured_anew(
    qdrant: QdrantService, cache: CacheConnection, fill: Fill, value: bytes
) -> None:
    fill(PRODUCTS, 1)
    floors = NoiseFloors(NameEncoder(), qdrant, cache)
    cache.put(floors._key(TENANT), value, 60)
    once_measured(floors)
    floors.close()
