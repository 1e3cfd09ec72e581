"""Filters by terms, and products of before there were any. On a real server, too."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.errors import RangeNotIndexed
from shared.models.search.filters import Filters
from shared.models.terms import MARK
from shared.qdrant.points import live_payload
from shared.qdrant.range_indexes import MOST_RANGE_INDEXES
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from tests.integration.qdrant.conftest import MakePoint, direction
from tests.servers import DIMENSIONS


@pytest.fixture
def collection(http: httpx.Client) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    yield name
    http.delete(f"/collections/{name}").raise_for_status()


@pytest.fixture
def service(server_url: str, collection: str) -> Iterator[QdrantService]:
    service = QdrantService(server_url, collection, dimensions=DIMENSIONS)
    service.ensure_collection(["color"])
    yield service
    service.close()


@pytest.fixture
def transfer(server_url: str, collection: str) -> Iterator[PointTransfer]:
    transfer = PointTransfer(server_url, collection)
    yield transfer
    transfer.close()


def found(service: QdrantService, tenant: str, **filters: Any) -> list[str]:
    hits = service.search(tenant, direction(1), Filters(**filters), 10)
    return sorted(hit.product_id for hit in hits)


VALUES: dict[str, Any] = {
    "upper": "ACME",
    "accent": "Légère",
    "text": "5",
    "whole": 5,
    "float": 5.0,
    "half": 5.5,
    "zero": 0,
    "one": 1,
    "true": True,
    "false": False,
    "list": ["S", "M"],
    "long": "Baumwolle " * 30,
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("acme", ["upper"]),
        ("AcMé", ["upper"]),
        ("LEGERE", ["accent"]),
        ("5", ["text"]),
        (5, ["float", "whole"]),
        (5.0, ["float", "whole"]),
        (5.5, ["half"]),
        (1, ["one"]),
        (True, ["true"]),
        (False, ["false"]),
        (-0.0, ["zero"]),
        ("s", ["list"]),
        (["m", "acme", 5, True], ["float", "list", "true", "upper", "whole"]),
        ("baumwolle " * 30, ["long"]),
        ("baumwolle", []),
        ("true", []),
        ([*range(64)], ["float", "one", "whole", "zero"]),
    ],
)
def test_a_value_finds_what_is_the_same_whatever_its_case(
    qdrant: QdrantService, tenant: str, make_point: MakePoint, asked: Any, expected: list[str]
) -> None:
    points = [
        make_point(name, 1, seed=1, attributes={"a": value}) for name, value in VALUES.items()
    ]
    qdrant.upsert_products(points)
    assert found(qdrant, tenant, attributes={"a": asked}) == expected


@pytest.mark.parametrize("name", ["shoe size", "a.b", "a[]", "größe", "=", "a'b"])
def test_any_attribute_of_a_product_can_be_filtered_on(
    qdrant: QdrantService, tenant: str, make_point: MakePoint, name: str
) -> None:
    qdrant.upsert_product(make_point("a", 1, seed=1, attributes={name: "x", "other": "y"}))
    assert found(qdrant, tenant, attributes={name: "X"}) == ["a"]
    assert found(qdrant, tenant, attributes={name: "y"}) == []


def test_a_category_is_found_whatever_its_case_also_by_a_list(
    qdrant: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    qdrant.upsert_products([make_point("a", 1, seed=1, category="Été"), make_point("b", 1)])
    assert found(qdrant, tenant, category_filter="ete") == ["a"]
    products, _ = qdrant.list_products(tenant, 10, category="ÉTÉ")
    assert [(each.product.id, each.product.category) for each in products] == [("a", "Été")]


def write_as_before(http: httpx.Client, collection: str, point: Any) -> None:
    """As releases without terms wrote it."""
    payload = {name: value for name, value in live_payload(point).items() if name != "terms"}
    body = {
        "points": [
            {
                "id": str(uuid.uuid4()),
                "vector": {"image": point.vectors["image"].tolist()},
                "payload": payload,
            }
        ]
    }
    http.put(f"/collections/{collection}/points?wait=true", json=body).raise_for_status()


def test_products_of_before_are_found_as_they_stand_until_they_have_terms(
    http: httpx.Client,
    service: QdrantService,
    transfer: PointTransfer,
    tenant: str,
    make_point: MakePoint,
) -> None:
    service.upsert_product(make_point("new", 1, seed=1, category="Hats", attributes={"c": "Red"}))
    assert service.upgrade.look()
    old = make_point("old", 1, seed=1, category="Hats", attributes={"c": "Red", "n": 5})
    write_as_before(http, service.collection, old)
    assert not service.upgrade.look()
    assert "as stored" in service.view
    assert found(service, tenant, category_filter="Hats") == ["new", "old"]
    assert found(service, tenant, category_filter="hats") == ["new"]
    assert found(service, tenant, attributes={"c": ["Red", "x"], "n": [5.0]}) == ["old"]
    assert [p.product.id for p in service.list_products(tenant, 9, category="Hats")[0]] != ["new"]

    assert sum(transfer.upgrade()) == 1
    assert sum(transfer.upgrade()) == 0
    assert service.upgrade.look()
    assert found(service, tenant, category_filter="hats") == ["new", "old"]
    assert found(service, tenant, attributes={"c": "RED", "n": 5}) == ["old"]


def test_terms_are_added_to_many_and_nothing_else_is_changed(
    http: httpx.Client, service: QdrantService, transfer: PointTransfer, make_point: MakePoint
) -> None:
    for number in range(300):
        point = make_point(f"p{number}", 1, category=f"C{number % 3}")
        write_as_before(http, service.collection, point)
    before = {p.id: p for page in transfer.points() for p in page}
    assert sum(transfer.upgrade()) == 300
    after = {p.id: p for page in transfer.points() for p in page}
    for id_, point in after.items():
        category = point.payload["category"].lower()
        of_fields = [f"category\t{category}", "availability\tin_stock"]
        assert point.payload.pop("terms") == [MARK, *of_fields]
        assert point.payload == before[id_].payload
        assert (point.vectors["image"] == before[id_].vectors["image"]).all()


def test_a_restored_backup_of_before_has_terms(
    service: QdrantService, transfer: PointTransfer, tenant: str, make_point: MakePoint
) -> None:
    service.upsert_product(make_point("a", 1, seed=1, category="Hats"))
    ((point,),) = transfer.points()
    del point.payload["terms"]
    point.payload["rev"] = 2
    transfer.write([point])
    assert service.upgrade.look()
    assert found(service, tenant, category_filter="HATS") == ["a"]


def test_a_changed_list_of_attributes_changes_the_indexes(
    http: httpx.Client, service: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    service.upsert_product(make_point("a", 1, seed=1, attributes={"color": "red", "n": 1.5}))
    service.ensure_collection(["color:bool", "n:float", "shoe size:integer"])
    schema = http.get(f"/collections/{service.collection}").json()["result"]["payload_schema"]
    types = {path: schema[path]["data_type"] for path in schema if path.startswith("attributes")}
    assert types == {
        "attributes.color": "bool",
        "attributes.n": "float",
        'attributes."shoe size"': "float",
    }
    assert found(service, tenant, attributes={"color": "RED", "n": 1.5}) == ["a"]
    service.ensure_collection(["color"])
    assert found(service, tenant, attributes={"color": "RED"}) == ["a"]


def types_of_indexes(http: httpx.Client, service: QdrantService) -> dict[str, str]:
    schema = http.get(f"/collections/{service.collection}").json()["result"]["payload_schema"]
    return {
        path: index["data_type"] for path, index in schema.items() if path.startswith("attributes.")
    }


def test_a_range_has_an_index_from_the_first_search_on(
    http: httpx.Client, service: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    service.upsert_products(
        [
            make_point("a", 1, seed=1, attributes={"shoe size": 40, "color": 3}),
            make_point("b", 1, seed=1, attributes={"shoe size": 41.5, "color": "red"}),
            make_point("c", 1, seed=1, attributes={"shoe size": "41"}),
        ]
    )
    assert found(service, tenant, attributes={"shoe size": [40, "41"]}) == ["a", "c"]
    assert types_of_indexes(http, service) == {"attributes.color": "keyword"}
    assert found(service, tenant, attributes={"shoe size": {"gt": 40, "lt": 50}}) == ["b"]
    with_range = {"attributes.color": "keyword", 'attributes."shoe size"': "float"}
    assert types_of_indexes(http, service) == with_range
    service.upsert_product(make_point("d", 1, seed=1, attributes={"shoe size": 44}))
    assert found(service, tenant, attributes={"shoe size": {"gt": 40}}) == ["b", "d"]


def test_a_range_on_an_attribute_listed_as_strings_takes_its_index_and_keeps_it(
    http: httpx.Client, service: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    service.upsert_products(
        [
            make_point("a", 1, seed=1, attributes={"color": 3}),
            make_point("b", 1, seed=1, attributes={"color": "Red"}),
        ]
    )
    assert found(service, tenant, attributes={"color": {"gte": 3}}) == ["a"]
    assert found(service, tenant, attributes={"color": "red"}) == ["b"]
    service.ensure_collection(["color"])  # as at the next start
    assert types_of_indexes(http, service) == {"attributes.color": "float"}


def test_searches_make_a_bounded_number_of_indexes(
    http: httpx.Client, service: QdrantService, tenant: str, make_point: MakePoint
) -> None:
    service.upsert_product(make_point("a", 1, seed=1, attributes={"rating": 5}))
    names = [f"n{number}" for number in range(MOST_RANGE_INDEXES)]
    for start in range(0, MOST_RANGE_INDEXES, 16):
        ranges = {name: {"gt": 0} for name in names[start : start + 16]}
        assert found(service, tenant, attributes=ranges) == []
    with pytest.raises(RangeNotIndexed, match=r"attributes.rating .* ATTRIBUTE_INDEXES"):
        found(service, tenant, attributes={"rating": {"gt": 0}})
    assert len(types_of_indexes(http, service)) == MOST_RANGE_INDEXES + 1
    assert found(service, tenant, attributes={"n1": {"gt": 0}}) == []
    assert found(service, tenant, attributes={"rating": 5}) == ["a"]
    service.ensure_collection(["rating:float"])
    assert found(service, tenant, attributes={"n2": {"gt": 0}, "rating": 5}) == []


def test_a_collection_that_is_made_anew_gets_its_index_again(
    http: httpx.Client,
    service: QdrantService,
    tenant: str,
    make_point: MakePoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.qdrant.range_indexes._LOOK_AGAIN_SECONDS", 0)
    for _ in range(2):
        service.upsert_product(make_point("a", 1, seed=1, attributes={"rating": 5}))
        assert found(service, tenant, attributes={"rating": {"gt": 4}}) == ["a"]
        assert types_of_indexes(http, service)["attributes.rating"] == "float"
        http.delete(f"/collections/{service.collection}").raise_for_status()
        service.ensure_collection([])
