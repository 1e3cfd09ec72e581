"""Products to points and back, without a server."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.models.product import ImageFacts, Product, point_id
from shared.models.terms import MARK
from shared.qdrant.points import (
    LivePoint,
    Tombstone,
    highest_revs,
    live_payload,
    point_of,
    stored_point,
    tombstone_payload,
)
from shared.qdrant.vectors import VectorSet

CREATED = datetime(2024, 11, 2, 10, 30, tzinfo=UTC)
PICTURE = ImageFacts("sha")
UNIT = VectorSet.of_image(np.full(512, 512**-0.5))


def product(**fields: object) -> Product:
    base = {"id": "a", "name": "A", "image_url": "https://shop.example/a.jpg"}
    return Product.model_validate({**base, "created_at": CREATED, **fields})


def live(rev: int = 5, image: ImageFacts = PICTURE, **fields: object) -> LivePoint:
    return LivePoint("shop", product(**fields), rev, UNIT, image, "2026-01-01T00:00:00+00:00")


def test_a_live_payload_holds_the_set_fields_and_the_facts() -> None:
    point = live(price=3, image=ImageFacts("sha", '"etag"', "Sat, 02 Nov 2024 10:30:00 GMT"))
    assert live_payload(point) == {
        "id": "a",
        "name": "A",
        "image_url": "https://shop.example/a.jpg",
        "price": 3,
        "attributes": {},
        "created_at": "2024-11-02T10:30:00+00:00",
        "group_id": "a",
        "ungrouped": True,
        "tenant": "shop",
        "rev": 5,
        "image_sha256": "sha",
        "image_etag": '"etag"',
        "image_last_modified": "Sat, 02 Nov 2024 10:30:00 GMT",
        "indexed_at": "2026-01-01T00:00:00+00:00",
        "warnings": [],
        "terms": [MARK, "availability\tin_stock"],
        "paid_price": 3,
    }


def test_a_tombstone_has_no_tenant_no_vector_and_no_image() -> None:
    point = point_of(Tombstone("shop", "a", 9))
    assert point == {
        "id": point_id("shop", "a"),
        "vector": {},
        "payload": {"id": "a", "tombstone_of": "shop", "rev": 9},
    }
    assert tombstone_payload(Tombstone("shop", "a", 9, version=0))["version"] == 0


def test_a_tombstone_and_its_product_share_their_point() -> None:
    assert point_of(Tombstone("shop", "a", 9))["id"] == point_of(live())["id"]


attribute = st.one_of(
    st.booleans(), st.integers(-100, 100), st.text(max_size=5), st.lists(st.text(max_size=3))
)


@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "description": st.text(max_size=20),
            "category": st.sampled_from(["hats", "ünïcode"]),
            "price": st.one_of(st.integers(0, 1000), st.floats(0, 1000)),
            "attributes": st.dictionaries(st.sampled_from(["color", "a b", "é"]), attribute),
            "version": st.integers(0, 2**53 - 1),
            "group_id": st.sampled_from(["a", "b"]),
        },
    ),
    etag=st.none() | st.just('"x"'),
)
def test_every_product_reads_back_as_it_was(fields: dict[str, object], etag: str | None) -> None:
    point = live(image=ImageFacts("sha", etag), **fields)
    stored = stored_point(live_payload(point))
    assert stored.product is not None
    assert stored.product.product == point.product
    assert stored.product.image == point.image
    assert (stored.rev, stored.version) == (point.rev, point.product.version)


def test_a_stored_tombstone_is_told_apart() -> None:
    stored = stored_point(tombstone_payload(Tombstone("shop", "a", 9, version=3)))
    assert stored.is_tombstone
    assert (stored.rev, stored.version, stored.product) == (9, 3, None)


@given(st.permutations([1, 2, 3, 4]))
def test_the_highest_rev_of_a_product_is_kept(revs: list[int]) -> None:
    other = Tombstone("shop", "b", 1)
    kept = highest_revs([*(live(rev) for rev in revs), other])
    assert kept["shop", "a"].rev == 4
    assert kept["shop", "b"] is other


def test_of_equal_revs_the_last_is_kept() -> None:
    first, last = live(3), Tombstone("shop", "a", 3)
    assert highest_revs([first, last])["shop", "a"] is last
