"""Words, codes and their vector in the index: written, searched, counted and upgraded."""

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from shared.errors import QdrantUnavailable
from shared.models.product import point_id
from shared.models.search.filters import Filters
from shared.qdrant.points import LivePoint, PayloadWrite, Tombstone, live_payload
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from shared.qdrant.upsert import update
from shared.qdrant.words import words_beside, words_of
from shared.qdrant.writing import operations
from shared.words.analyser import Analyser
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess
from tests.words import ANALYSER, check_words

MakePoint = Callable[..., LivePoint]


@pytest.fixture
def worded(make_point: MakePoint) -> MakePoint:
    def make(*args: Any, **fields: Any) -> LivePoint:
        point = make_point(*args, **fields)
        return replace(point, words=words_of(ANALYSER, point.product))

    return make


@pytest.fixture
def collection(http: httpx.Client) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    yield name
    http.delete(f"/collections/{name}").raise_for_status()


@pytest.fixture
def service(server_url: str, collection: str) -> Iterator[QdrantService]:
    service = a_service(server_url, collection)
    service.ensure_collection([])
    yield service
    service.close()


def a_service(url: str, collection: str) -> QdrantService:
    return QdrantService(url, collection, dimensions=DIMENSIONS, words_mark=ANALYSER.mark)


def changed(service: QdrantService, point: LivePoint, rev: int, **fields: Any) -> PayloadWrite:
    """The write that a patch of the stored product becomes."""
    stored = service.get_product(point.tenant, point.product.id)
    assert stored is not None
    product = stored.product.model_copy(update=fields)
    words = words_beside(ANALYSER, product, stored)
    return PayloadWrite(
        point.tenant, product, rev, stored.image, "now", replaces=stored.payload, words=words
    )


def by_words(service: QdrantService, tenant: str, text: str, **filters: Any) -> list[str]:
    query = ANALYSER.of_query(text, service.vocabulary(tenant))
    ranked = service.ranked_by_words(tenant, query, Filters(**filters), 100)
    assert [each.score for each in ranked] == sorted((each.score for each in ranked), reverse=True)
    return [each.product_id for each in ranked]


def by_code(service: QdrantService, tenant: str, code: str, *, prefix: bool = False) -> list[str]:
    return service.ids_of_code(tenant, code, Filters(), prefix=prefix, limit=10)


def test_products_are_found_by_enough_of_their_words_within_the_filters(
    qdrant: QdrantService, tenant: str, worded: MakePoint
) -> None:
    qdrant.upsert_products(
        [
            worded("a", 1, seed=1, name="Red shirts", category="Tops", price=10),
            worded("b", 1, seed=2, name="Shirt", description="of a red kind", price=20),
            worded("c", 1, seed=3, name="Blue trousers", price=30),
            worded("d", 1, tenant=f"{tenant}-2", name="Red shirt"),
        ]
    )
    assert by_words(qdrant, tenant, "red shirt") == ["a", "b"]
    assert by_words(qdrant, tenant, "red shirt", price_min=15) == ["b"]
    assert by_words(qdrant, tenant, "red shirt", category_filter="tops") == ["a"]
    assert by_words(qdrant, tenant, "long blue trousers") == ["c"]  # two thirds
    assert by_words(qdrant, tenant, "blue shirt") == []
    vocabulary = qdrant.vocabulary(tenant)
    assert (vocabulary.count("red"), vocabulary.count("shirt"), "trouser" in vocabulary) == (
        *(2, 2),
        True,
    )


def test_a_rare_word_counts_more_whatever_other_tenants_sell(
    qdrant: QdrantService, tenant: str, worded: MakePoint
) -> None:
    qdrant.upsert_products(
        [
            *(worded(f"s{n}", 1, seed=n, name="shirt") for n in range(8)),
            worded("one", 1, seed=9, name="shirt linen"),
            *(worded(f"l{n}", 1, tenant=f"{tenant}-2", name="linen") for n in range(30)),
        ]
    )
    both = ANALYSER.of_query("linen shirt", qdrant.vocabulary(tenant))
    (first, *others) = qdrant.ranked_by_words(tenant, both._replace(needed=1), Filters(), 100)
    assert first.product_id == "one"
    assert first.score > 3 * others[0].score
    assert [other.product_id for other in others] == [f"s{n}" for n in range(8)]


def test_codes_are_found_whole_and_by_how_they_begin(
    qdrant: QdrantService, tenant: str, worded: MakePoint
) -> None:
    qdrant.upsert_products([worded("AB-1234-X", 1, seed=1), worded("AB-1235", 1, seed=2)])
    assert by_code(qdrant, tenant, "ab1234x") == ["AB-1234-X"]
    assert by_code(qdrant, tenant, "ab123") == []
    assert by_code(qdrant, tenant, "ab123", prefix=True) == ["AB-1234-X", "AB-1235"]


def test_a_ranking_by_looks_holds_ids_and_cosines_and_leaves_out_what_is_gone(
    qdrant: QdrantService, tenant: str, worded: MakePoint
) -> None:
    points = [worded(f"p{n}", 1, seed=n) for n in range(1, 6)]
    qdrant.upsert_products(points)
    vector = points[2].vectors["image"]
    for _ in range(2):  # product ids are known the second time
        ranked = qdrant.ranked_by_looks(tenant, vector, Filters(), 10, min_score=0.9)
        assert [(each.product_id, round(each.score, 5)) for each in ranked] == [("p3", 1.0)]
    assert len(qdrant.ranked_by_looks(tenant, vector, Filters(), 3)) == 3
    near = qdrant.ranked_by_looks(tenant, vector, Filters(), 9, without_group="p3")
    assert "p3" not in [each.product_id for each in near]
    qdrant.upsert_product(Tombstone(tenant, "p3", 2))
    assert qdrant.ranked_by_looks(tenant, vector, Filters(), 10, min_score=0.9) == []


def test_a_changed_text_brings_words_and_leaves_the_picture(
    service: QdrantService, tenant: str, worded: MakePoint
) -> None:
    point = worded("p", 1, seed=1, name="Red shirt", description="wool")
    service.upsert_product(point)
    assert service.upsert_product(changed(service, point, 2, name="Blue trousers")) == 2
    assert by_words(service, tenant, "blue trousers") == ["p"]
    assert by_words(service, tenant, "red") == []
    assert service.upsert_product(changed(service, point, 3, description=None)) == 3  # overwrites
    assert by_words(service, tenant, "wool") == []
    stored = service.get_product(tenant, "p", with_embedding=True)
    assert stored is not None
    assert np.allclose(stored.embedding or [], point.vectors["image"], atol=1e-6)
    assert check_words(service, tenant, ["p"]) == 1


def test_prices_and_stock_write_no_words(
    service: QdrantService, worded: MakePoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = worded("p", 1, seed=1, attributes={"color": "red", "stock": 3})
    service.upsert_product(point)

    def refuse(*_: object) -> None:
        raise AssertionError("a price takes no analysis")

    with monkeypatch.context() as context:
        context.setattr(Analyser, "of_product", refuse)
        write = changed(service, point, 2, price=9.5, attributes={"color": "red", "stock": 2})
    (operation,) = operations([write])
    assert not operation["set_payload"]["payload"].keys() & {"words", "codes"}
    service.upsert_product(write)
    assert check_words(service, point.tenant, ["p"]) == 1


def test_a_write_that_lost_to_a_newer_one_leaves_its_words_alone(
    service: QdrantService, tenant: str, worded: MakePoint
) -> None:
    point = worded("p", 1, seed=1, name="Red shirt")
    service.upsert_product(point)
    late = changed(service, point, 2, name="Late shirt")
    service.upsert_product(changed(service, point, 3, name="Newer shirt"))
    assert service.upsert_product(late) == 3
    other = worded("p", 4, seed=2, name="Other picture")
    blind = replace(changed(service, point, 4, name="Blind"), replaces=None)
    blind = replace(blind, words=words_of(ANALYSER, blind.product))
    service.upsert_product(replace(other, rev=3, after_fields=True))
    service.upsert_product(replace(other, rev=5))
    assert service.upsert_product(replace(blind, rev=6)) == 5  # of another picture
    assert check_words(service, tenant, ["p"]) == 1


def test_tombstones_lose_their_words(
    service: QdrantService, tenant: str, worded: MakePoint
) -> None:
    service.upsert_products([worded("p", 1, seed=1), worded("q", 1, seed=2)])
    service.upsert_product(Tombstone(tenant, "p", 2))
    assert check_words(service, tenant, ["p", "q"]) == 1
    assert "p" not in service.vocabulary(tenant)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedQdrantProcess]:
    server = EmbeddedQdrantProcess(tmp_path / "qdrant")
    server.start()
    yield server
    server.stop()


def test_a_server_killed_between_words_and_fields_is_left_with_the_older_rev(
    server: EmbeddedQdrantProcess, tenant: str, worded: MakePoint
) -> None:
    service = a_service(server.url, "products")
    service.ensure_collection([])
    point = worded("p", 1, seed=1, name="Red shirt")
    service.upsert_product(point)
    write = changed(service, point, 2, name="Blue trousers")
    first, second = operations([write])
    assert list(first) == ["update_vectors"]
    assert list(second) == ["set_payload"]
    update(service._client, service.collection, [first])
    server.kill9()
    server.start()
    assert service.stored_revs([point.key])[point.key].rev == 1  # so it is not found done
    service.upsert_product(changed(service, point, 2, name="Blue trousers"))
    assert check_words(service, tenant, ["p"]) == 1
    assert by_words(service, tenant, "blue trousers") == ["p"]
    service.close()


def test_texts_patched_while_the_server_is_killed_have_their_words_once_written_again(
    server: EmbeddedQdrantProcess, tenant: str, worded: MakePoint
) -> None:
    service = a_service(server.url, "products")
    service.ensure_collection([])
    points = [worded(f"p{n}", 1, seed=n, name=f"Shirt {n}") for n in range(32)]
    service.upsert_products(points)
    for kill in range(4):
        kinds = {round_: f"kind{kill}x{round_}" for round_ in range(10)}

        def write(rev: int, kind: str) -> None:
            # Half of them lose a field, so that their payloads are overwritten.
            fields = [{"description": kind if number % 2 else None} for number in range(32)]
            service.upsert_products(
                [
                    changed(service, point, rev, name=f"Shirt {kind}", **held)
                    for point, held in zip(points, fields, strict=True)
                ]
            )

        def write_until_killed(first: int, kinds: dict[int, str]) -> None:
            with contextlib.suppress(QdrantUnavailable):
                for round_, kind in kinds.items():
                    write(first + round_, kind)

        first = 10 + 10 * kill
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write_until_killed, first, kinds)
            time.sleep(random.uniform(0.02, 0.3))  # at any moment of a write
            server.kill9()
            writing.result()
        server.start()
        write(first + 9, kinds[9])  # as the ledger asks for it until it stands
        assert check_words(service, tenant, [point.product.id for point in points]) == 32
        assert len(by_words(service, tenant, kinds[9])) == 32
    service.close()


def write_as_before(
    http: httpx.Client, collection: str, points: list[LivePoint], listed: list[str]
) -> None:
    """A collection and its products as releases without words left them."""
    path = f"/collections/{collection}"
    vectors = {"image": {"size": DIMENSIONS, "distance": "Cosine"}}
    http.put(path, json={"vectors": vectors}).raise_for_status()
    for name in listed:
        index = {"field_name": name, "field_schema": "keyword"}
        http.put(f"{path}/index?wait=true", json=index).raise_for_status()
    rows = [
        {
            "id": point_id(*point.key),
            "vector": {"image": point.vectors["image"].tolist()},
            "payload": live_payload(replace(point, words=None)),
        }
        for point in points
    ]
    http.put(f"{path}/points?wait=true", json={"points": rows}).raise_for_status()


def test_a_collection_of_before_gets_words_and_nothing_is_embedded(
    server_url: str, http: httpx.Client, collection: str, tenant: str, worded: MakePoint
) -> None:
    points = [worded(f"p{n}", 1, seed=n, name=f"Shirt {n} red") for n in range(300)]
    write_as_before(http, collection, points, ["tenant", "terms"])
    service = a_service(server_url, collection)
    service.ensure_collection([])
    service.ensure_collection([])  # another process
    service.upsert_product(Tombstone(tenant, "p7", 2))
    assert not service.upgrade.look()
    assert not service.facts().is_upgraded
    assert by_words(service, tenant, "red shirt") == []

    transfer = PointTransfer(server_url, collection, analyser=ANALYSER)
    before = {point.id: point for page in transfer.points() for point in page}
    upgraded = transfer.upgrade()
    assert next(upgraded) > 0
    service.upsert_product(changed(service, points[0], 2, name="Blue trousers"))  # meanwhile
    service.upsert_product(changed(service, points[1], 2, price=1.0))
    list(upgraded)
    assert sum(transfer.upgrade()) == 0
    assert service.upgrade.look()
    assert check_words(service, tenant, [point.product.id for point in points]) == 299
    assert len(by_words(service, tenant, "red shirt")) == 100
    for page in transfer.points():
        for point in page:
            held = before[point.id].vectors
            assert point.vectors.keys() == held.keys()
            assert all((point.vectors[name] == held[name]).all() for name in held)
    transfer.close()
    service.close()


def test_words_of_other_languages_are_made_anew(
    service: QdrantService, server_url: str, tenant: str, make_point: MakePoint
) -> None:
    point = make_point("p", 1, seed=1, name="Rote Hemden")
    german = Analyser(("de",))
    service.upsert_product(replace(point, words=words_of(german, point.product)))
    assert not service.upgrade.look()
    stored = service.get_product(tenant, "p")
    assert stored is not None
    assert words_beside(ANALYSER, stored.product, stored).vector is not None  # also by a price
    transfer = PointTransfer(server_url, service.collection, analyser=ANALYSER)
    assert sum(transfer.upgrade()) == 1
    assert check_words(service, tenant, ["p"]) == 1
    transfer.close()


def test_an_upgrade_that_is_killed_goes_on_where_it_was(
    server: EmbeddedQdrantProcess, tenant: str, worded: MakePoint
) -> None:
    points = [worded(f"p{n}", 1, seed=n) for n in range(600)]
    with httpx.Client(base_url=server.url, timeout=60) as http:
        write_as_before(http, "products", points, ["tenant"])
    service = a_service(server.url, "products")
    service.ensure_collection([])
    transfer = PointTransfer(server.url, "products", analyser=ANALYSER)
    assert next(transfer.upgrade()) == 256
    server.kill9()
    server.start()
    assert sum(transfer.upgrade()) == 600 - 256
    assert check_words(service, tenant, [point.product.id for point in points]) == 600
    transfer.close()
    service.close()


def test_a_restored_backup_has_words_whatever_it_held(
    service: QdrantService, server_url: str, tenant: str, make_point: MakePoint
) -> None:
    transfer = PointTransfer(server_url, service.collection, analyser=ANALYSER)
    service.upsert_product(make_point("p", 1, seed=1, name="Red shirt"))
    service.upsert_product(Tombstone(tenant, "q", 1))
    ((*points,),) = transfer.points()
    for point in points:
        point.payload["rev"] = 2
    transfer.write(points)
    assert service.upgrade.look()
    assert check_words(service, tenant, ["p", "q"]) == 1
    assert by_words(service, tenant, "red") == ["p"]
    transfer.close()
