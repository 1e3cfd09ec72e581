"""Search, listing and set-up through `QdrantService`."""

import threading
import uuid
from dataclasses import asdict
from typing import Any

import httpx
import numpy as np
import pytest

from shared.errors import CollectionMismatch, InvalidCursor, QdrantRejected, QdrantUnavailable
from shared.models.product import ImageFacts, Product
from shared.models.search.filters import Filters
from shared.models.search.hits import Hit
from shared.qdrant import paging
from shared.qdrant.points import LivePoint
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from tests.integration.qdrant.conftest import MakePoint, direction
from tests.servers import DIMENSIONS


@pytest.fixture
def shop(qdrant: QdrantService, make_point: MakePoint) -> None:
    qdrant.upsert_products(
        [
            make_point("red", 1, seed=1, category="clothing", price=29.99, description="a shirt"),
            make_point("blue", 1, seed=2, category="clothing", price=34.99),
            make_point("hat", 1, seed=3, category="hats", price=10, attributes={"color": "red"}),
            make_point("gift", 1, seed=4),
        ]
    )


def set_fields(hit: Hit) -> dict[str, Any]:
    return {name: value for name, value in asdict(hit).items() if value is not None}


@pytest.mark.usefixtures("shop")
def test_a_hit_shows_the_public_fields_and_the_plain_cosine(
    qdrant: QdrantService, tenant: str
) -> None:
    query = direction(1) + 2 * direction(4)
    hits = qdrant.search(tenant, query, Filters(), 2)
    expected = float(query @ direction(4)) / float(query @ query) ** 0.5
    assert [hit.product_id for hit in hits] == ["gift", "red"]
    assert hits[0].similarity_score == pytest.approx(expected, abs=1e-5)
    assert set_fields(hits[1]) == {
        "product_id": "red",
        "name": "red",
        "description": "a shirt",
        "price": 29.99,
        "category": "clothing",
        "image_url": "https://shop.example/a.jpg",
        "attributes": {},
        "similarity_score": hits[1].similarity_score,
        "matched": [],
        "variants": 1,
    }
    assert set_fields(hits[0]) == {
        "product_id": "gift",
        "name": "gift",
        "image_url": "https://shop.example/a.jpg",
        "attributes": {},
        "similarity_score": hits[0].similarity_score,
        "matched": [],
        "variants": 1,
    }


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"red", "blue", "hat", "gift"}),
        (Filters(category_filter="clothing"), {"red", "blue"}),
        (Filters(category_filter="shoes"), set()),
        (Filters(price_max=29.99), {"red", "hat"}),
        (Filters(price_min=29.99), {"red", "blue"}),
        (Filters(price_min=10, price_max=10), {"hat"}),
        (Filters(price_min=10.01, price_max=29.98), set()),
        (Filters(category_filter="clothing", price_max=30), {"red"}),
    ],
)
def test_filters_hold_for_every_hit_and_prices_include_both_ends(
    qdrant: QdrantService, tenant: str, filters: Filters, expected: set[str]
) -> None:
    hits = qdrant.search(tenant, direction(9), filters, 10)
    assert {hit.product_id for hit in hits} == expected


@pytest.mark.usefixtures("shop")
def test_top_k_and_offset_cut_the_same_ranking(qdrant: QdrantService, tenant: str) -> None:
    everything = [hit.product_id for hit in qdrant.search(tenant, direction(9), Filters(), 10)]
    parts = [
        hit.product_id
        for offset in (0, 2, 4)
        for hit in qdrant.search(tenant, direction(9), Filters(), 2, offset=offset)
    ]
    assert parts == everything
    assert len(everything) == 4


def test_products_of_one_picture_stand_in_one_order_over_all_pages(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    names = [f"p{number:03}" for number in range(120)]
    qdrant.upsert_products([make_point(name, 1, seed=1, price=7) for name in reversed(names)])
    hits = [
        hit
        for offset in range(0, 120, 30)
        for hit in qdrant.search(tenant, direction(1), Filters(), 30, offset=offset)
    ]
    assert [hit.product_id for hit in hits] == names
    assert {(hit.name, hit.price) for hit in hits} == {(name, 7) for name in names}


def test_more_equal_scores_than_are_read_for_a_page_are_in_order_as_far_as_that_goes(
    qdrant: QdrantService, tenant: str, make_point: MakePoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_MAX_WINDOW", 64)
    names = [f"p{number:03}" for number in range(120)]
    qdrant.upsert_products([make_point(name, 1, seed=1, price=7) for name in reversed(names)])
    pages = [
        qdrant.search(tenant, direction(1), Filters(), 10, offset=offset)
        for offset in range(0, 50, 10)
    ]
    # Which 64 of the 120 are read is the engine's choice, the same for each of these pages.
    found = [hit.product_id for page in pages for hit in page]
    assert [len(page) for page in pages] == [10] * 5
    assert found == sorted(set(found))
    assert {(hit.name, hit.price) for page in pages for hit in page} == {
        (name, 7) for name in found
    }


@pytest.mark.usefixtures("shop")
def test_a_tenant_sees_nothing_of_another(qdrant: QdrantService) -> None:
    stranger = uuid.uuid4().hex
    assert qdrant.search(stranger, direction(1), Filters(), 10) == []
    assert qdrant.list_products(stranger, 10) == ([], None)
    assert qdrant.get_product(stranger, "red") is None


def test_pages_hold_every_product_once(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    qdrant.upsert_products(
        [make_point(f"p{i}", 1, category="even" if i % 2 == 0 else "odd") for i in range(25)]
    )
    for category, expected in ((None, range(25)), ("even", range(0, 25, 2))):
        seen, cursor = [], None
        while True:
            page, cursor = qdrant.list_products(tenant, 10, cursor, category)
            assert len(page) == 10 or cursor is None
            seen += [stored.product.id for stored in page]
            if cursor is None:
                break
        assert sorted(seen) == sorted(f"p{i}" for i in expected)


@pytest.mark.parametrize("cursor", ["", "zzz", "12", "a" * 36, "'; drop"])
def test_a_cursor_of_nobody_is_refused(qdrant: QdrantService, tenant: str, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        qdrant.list_products(tenant, 10, cursor)


def test_a_vector_of_another_size_is_refused(qdrant: QdrantService, tenant: str) -> None:
    with pytest.raises(QdrantRejected, match="512"):
        qdrant.search(tenant, [1.0, 0.0], Filters(), 10)


def test_processes_that_set_up_the_collection_at_once_all_succeed(
    server_url: str, http: httpx.Client
) -> None:
    name = f"test-{uuid.uuid4().hex}"
    services = [
        QdrantService(server_url, name, dimensions=DIMENSIONS, write_timeout=60) for _ in range(4)
    ]
    failures: list[Exception] = []

    def set_up(service: QdrantService) -> None:
        try:
            service.ensure_collection(["color"])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=set_up, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(service.ready() for service in services)
    schema = http.get(f"/collections/{name}").json()["result"]["payload_schema"]
    assert {path: index["data_type"] for path, index in schema.items()} == {
        "tenant": "keyword",
        "rev": "integer",
        "terms": "keyword",
        "words": "keyword",
        "codes": "keyword",
        "paid_price": "float",
        "group_id": "keyword",
        "tombstone_of": "keyword",
        "image_sha256": "keyword",
        "attributes.color": "keyword",
    }
    for service in services:
        service.close()
    http.delete(f"/collections/{name}").raise_for_status()


@pytest.mark.parametrize(
    "vectors",
    [
        {"image": {"size": 4, "distance": "Cosine"}},
        {"other": {"size": 768, "distance": "Cosine"}},
    ],
)
def test_a_collection_with_other_vectors_is_not_used_and_says_what_to_do(
    server_url: str, http: httpx.Client, vectors: dict[str, Any]
) -> None:
    name = f"test-{uuid.uuid4().hex}"
    http.put(f"/collections/{name}", json={"vectors": vectors}).raise_for_status()
    service = QdrantService(server_url, name, dimensions=768)
    with pytest.raises(CollectionMismatch, match=f"{name}.*768 numbers.*CLIP_MODEL.*delete"):
        service.ensure_collection([])
    service.close()
    http.delete(f"/collections/{name}").raise_for_status()


def test_vectors_are_as_long_as_the_model_gives_them(server_url: str, http: httpx.Client) -> None:
    name = f"test-{uuid.uuid4().hex}"
    service = QdrantService(server_url, name, dimensions=6)
    service.ensure_collection([])
    for number, product_id in enumerate("ab"):
        fields = {"id": product_id, "name": "A", "image_url": "https://shop.example/a.jpg"}
        vectors = VectorSet.of_image(np.eye(6)[number])
        facts = ImageFacts(sha256="sha")
        service.upsert_product(
            LivePoint("t", Product(**fields), 1, vectors, facts, "2026-01-01T00:00:00Z")
        )
    hits = service.search("t", np.eye(6)[1], Filters(), 10)
    assert [hit.product_id for hit in hits] == ["b", "a"]
    service.close()
    http.delete(f"/collections/{name}").raise_for_status()


def test_a_process_that_does_not_know_the_length_leaves_the_collection_to_others(
    server_url: str, http: httpx.Client
) -> None:
    name = f"test-{uuid.uuid4().hex}"
    with_model = QdrantService(server_url, name, dimensions=DIMENSIONS)
    without = QdrantService(server_url, name)
    with pytest.raises(QdrantUnavailable, match=f"{name} isn't there yet"):
        without.ensure_collection(["color"])
    with_model.ensure_collection(["color"])
    without.ensure_collection(["color"])
    assert without.ready()
    for service in (with_model, without):
        service.close()
    http.delete(f"/collections/{name}").raise_for_status()


def test_without_its_collection_the_service_is_not_ready(server_url: str) -> None:
    service = QdrantService(server_url, f"test-{uuid.uuid4().hex}")
    assert not service.ready()
    with pytest.raises(QdrantUnavailable, match="doesn't exist"):
        service.stored_revs([("default", "a")])
    service.close()
