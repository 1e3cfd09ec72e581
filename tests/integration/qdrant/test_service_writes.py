"""Conditional writes: the highest rev stands, whatever the order of arrival."""

import itertools
import threading
import uuid

import pytest

from shared.models.product import ImageFacts, StoredProduct
from shared.models.search.filters import Filters
from shared.qdrant.points import Tombstone
from shared.qdrant.service import QdrantService
from tests.integration.qdrant.conftest import MakePoint, direction


def test_a_product_reads_back_as_it_was_written(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    point = make_point(
        "shirt/1 é",
        7,
        description="of cotton",
        category="clothing",
        price=29.99,
        attributes={"color": ["red", "pink"], "shoe size": "42", "stock": 15, "new": True},
        created_at="2024-11-02T10:30:00+02:00",
        version=2**53 - 1,
        group_id="shirts",
    )
    assert qdrant.upsert_product(point) == 7
    stored = qdrant.get_product(tenant, "shirt/1 é", with_embedding=True)
    assert stored is not None
    assert stored.product == point.product
    assert stored.embedding == pytest.approx(point.vectors["image"], abs=1e-6)
    assert (stored.rev, stored.indexed_at, stored.image, stored.warnings) == (
        7,
        point.indexed_at,
        point.image,
        (),
    )


@pytest.mark.parametrize("group", [None, "own", "other"])
def test_a_product_without_a_group_reads_back_without_one(
    qdrant: QdrantService, tenant: str, make_point: MakePoint, group: str | None
) -> None:
    qdrant.upsert_product(make_point("own", 1, group_id=group))
    stored = qdrant.get_product(tenant, "own")
    assert stored is not None
    assert stored.product.group_id == group


def test_a_replaced_product_keeps_nothing_of_the_one_before(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    qdrant.upsert_product(make_point("a", 1, seed=1, price=5, attributes={"color": "red"}))
    qdrant.upsert_product(make_point("a", 2, seed=2))
    stored = qdrant.get_product(tenant, "a", with_embedding=True)
    assert stored is not None
    assert stored.product.price is None
    assert stored.product.attributes == {}
    assert stored.embedding == pytest.approx(direction(2), abs=1e-6)
    assert stored.image == ImageFacts("sha-2")


def test_one_call_inserts_updates_and_skips_each_product_by_its_own_rev(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    # Products 0-15 are new, 16-31 stored with a lower rev, 32-47 with the same, 48-63 higher.
    qdrant.upsert_products([make_point(f"p{i}", 100 + i // 16, price=1) for i in range(16, 64)])
    answer = qdrant.upsert_products([make_point(f"p{i}", 102, price=2) for i in range(64)])
    assert answer == {(tenant, f"p{i}"): (103 if i >= 48 else 102, False) for i in range(64)}
    stored = qdrant.stored([(tenant, f"p{i}") for i in range(64)])
    prices = [_live(stored[tenant, f"p{i}"].product).product.price for i in range(64)]
    assert prices == [2] * 32 + [1] * 32


def test_of_several_writes_for_one_product_in_a_call_the_highest_rev_stands(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    writes = [make_point("a", rev, price=rev) for rev in (5, 9, 7)]
    assert qdrant.upsert_products(writes) == {(tenant, "a"): (9, False)}
    assert _live(qdrant.get_product(tenant, "a")).product.price == 9


def test_a_call_without_writes_asks_nothing(qdrant: QdrantService) -> None:
    assert qdrant.upsert_products([]) == {}
    assert qdrant.stored([]) == {}


def test_revs_as_large_as_the_clock_are_told_apart(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    rev = 1_795_000_000_000_001
    qdrant.upsert_product(make_point("a", rev))
    assert qdrant.upsert_product(make_point("a", rev - 1, price=1)) == rev
    assert qdrant.upsert_product(make_point("a", rev + 1, price=2)) == rev + 1
    assert _live(qdrant.get_product(tenant, "a")).product.price == 2


def test_a_tombstone_is_nowhere_to_be_seen(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    qdrant.upsert_product(make_point("gone", 1, seed=1, category="hats", price=1))
    qdrant.upsert_product(make_point("stays", 1, seed=2, category="hats", price=1))
    assert qdrant.upsert_product(Tombstone(tenant, "gone", 2, version=4)) == 2
    assert qdrant.get_product(tenant, "gone") is None
    listed, _ = qdrant.list_products(tenant, 10)
    assert [stored.product.id for stored in listed] == ["stays"]
    for filters in (Filters(), Filters(category_filter="hats"), Filters(price_min=0)):
        hits = qdrant.search(tenant, direction(1), filters, 10)
        assert [hit.product_id for hit in hits] == ["stays"]
    stored = qdrant.stored([(tenant, "gone")])[tenant, "gone"]
    assert (stored.is_tombstone, stored.rev, stored.version) == (True, 2, 4)


def test_a_late_write_loses_against_a_tombstone_and_a_newer_one_revives(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    qdrant.upsert_product(Tombstone(tenant, "a", 10))
    assert qdrant.upsert_product(make_point("a", 9)) == 10
    assert qdrant.get_product(tenant, "a") is None
    assert qdrant.upsert_product(make_point("a", 11)) == 11
    assert _live(qdrant.get_product(tenant, "a")).rev == 11


def test_a_late_tombstone_loses_against_a_newer_product(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    qdrant.upsert_product(make_point("a", 10))
    assert qdrant.upsert_product(Tombstone(tenant, "a", 9)) == 10
    assert qdrant.get_product(tenant, "a") is not None


def test_only_old_tombstones_are_purged(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    qdrant.upsert_products(
        [Tombstone(tenant, "old", 10), Tombstone(tenant, "new", 20), make_point("live", 5)]
    )
    qdrant.purge_tombstones(older_than_rev=20)
    keys = [(tenant, name) for name in ("old", "new", "live")]
    assert qdrant.stored_revs(keys) == {
        (tenant, "new"): (20, False),
        (tenant, "live"): (5, False),
    }


def test_the_highest_rev_stands_after_writers_in_every_order(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    orders = list(itertools.permutations((1, 2, 3)))

    def write(position: int) -> None:
        qdrant.upsert_products(
            [
                make_point(f"p{i}", order[position], price=order[position])
                for i, order in enumerate(orders)
            ]
        )

    writers = [threading.Thread(target=write, args=(position,)) for position in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stored = qdrant.stored([(tenant, f"p{i}") for i in range(len(orders))])
    assert [(s.rev, _live(s.product).product.price) for s in stored.values()] == [(3, 3)] * 6


def test_two_tenants_hold_the_same_product_id_apart(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    other = uuid.uuid4().hex
    qdrant.upsert_products([make_point("a", 5, price=1), make_point("a", 6, tenant=other, price=2)])
    assert _live(qdrant.get_product(tenant, "a")).product.price == 1
    assert _live(qdrant.get_product(other, "a")).product.price == 2
    qdrant.upsert_product(Tombstone(other, "a", 7))
    assert qdrant.get_product(tenant, "a") is not None


def _live(product: StoredProduct | None) -> StoredProduct:
    assert product is not None
    return product
