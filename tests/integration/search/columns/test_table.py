"""A table of columns stands for what the index holds, whatever becomes of the change log."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from shared.errors import QdrantUnavailable, SearchTimeout
from shared.ledger import ChangeLog, Generations, Ledger, LedgerRebuild, connect
from shared.models.change import EVERYTHING, Change, Claim, Lane, Outcome, Report
from shared.models.product import ImageFacts, Product
from shared.models.search.filters import Filters
from shared.qdrant.points import LivePoint, Tombstone
from shared.qdrant.service import QdrantService
from shared.qdrant.vectors import VectorSet
from shared.search.columns import table as table_module
from shared.search.columns.columns import Columns, TooLarge
from shared.search.columns.table import ColumnTable
from tests.servers import DIMENSIONS, RedisServer

TENANT = "shop"
VECTOR = [1.0] + [0.0] * (DIMENSIONS - 1)


class CountingQdrant:
    """The real index; counts what is read of it. `gate`, if set, holds the reading of all up."""

    def __init__(self, qdrant: QdrantService) -> None:
        self._qdrant = qdrant
        self.builds = 0
        self.read: list[str] = []
        self.gate: threading.Event | None = None
        self.between_pages: Any = None
        self.fails = False

    def live_payloads(self, tenant: str, product_ids: Any, fields: Any) -> dict[str, Any]:
        if self.fails:
            raise QdrantUnavailable("gone")
        self.read += product_ids
        return self._qdrant.live_payloads(tenant, product_ids, fields)

    def all_live_payloads(self, tenant: str, fields: Any, page: int) -> Iterator[Any]:
        if self.fails:
            raise QdrantUnavailable("gone")
        self.builds += 1
        if self.gate:
            self.gate.wait(60)
        for records in self._qdrant.all_live_payloads(tenant, fields, min(page, 2)):
            yield records
            if self.between_pages:
                self.between_pages()


class Shop:
    """A worker in short, and a table on what it writes."""

    def __init__(self, client: redis.Redis, qdrant: QdrantService) -> None:
        self.ledger = Ledger(client, lease_seconds=60, job_retention_seconds=600, max_pending=10**6)
        self.qdrant = qdrant
        self.reads = CountingQdrant(qdrant)
        self.log = ChangeLog(client)

    def table(self, **options: Any) -> ColumnTable:
        return ColumnTable(self.reads, self.log, **{"timeout_seconds": 60.0} | options)

    def write(self, product_id: str, **fields: Any) -> Claim:
        """As a worker that dies before its report."""
        product = Product(id=product_id, name=product_id, image_url="http://h/x.jpg", **fields)
        self.ledger.accept(TENANT, Lane.BULK, [Change.put(product)])
        claim = self.ledger.claim([Lane.BULK], 64)
        (wanted,) = claim.wanted
        self.qdrant.upsert_product(
            LivePoint(
                TENANT,
                product,
                wanted.rev,
                VectorSet.of_image(VECTOR),
                ImageFacts("0" * 64),
                "2026-01-01T00:00:00+00:00",
            )
        )
        return claim

    def report(self, claim: Claim, outcome: Outcome = Outcome.INDEXED) -> None:
        self.ledger.report(
            claim,
            [
                Report(each.tenant, each.product_id, each.rev, outcome, changed=EVERYTHING)
                for each in claim.wanted
            ],
        )

    def put(self, product_id: str, **fields: Any) -> None:
        self.report(self.write(product_id, **fields))

    def delete(self, product_id: str) -> None:
        self.ledger.accept(TENANT, Lane.FAST, [Change.delete(product_id)])
        claim = self.ledger.claim([Lane.FAST], 64)
        (wanted,) = claim.wanted
        self.qdrant.upsert_product(Tombstone(TENANT, product_id, wanted.rev))
        self.report(claim, Outcome.DELETED)


@pytest.fixture
def shop(client: redis.Redis, qdrant: QdrantService) -> Shop:
    return Shop(client, qdrant)


@pytest.fixture
def table(shop: Shop) -> Iterator[ColumnTable]:
    table = shop.table()
    yield table
    table.close()


def at(table: ColumnTable) -> Columns:
    columns = table.at(TENANT)
    assert isinstance(columns, Columns)
    return columns


def held(columns: Columns) -> dict[str, float]:
    return {columns.ids[p]: float(columns.prices[p]) for p in columns.live_positions}


def test_what_is_reported_is_in_the_next_columns_without_reading_all_again(
    shop: Shop, table: ColumnTable
) -> None:
    for number in range(5):
        shop.put(f"p{number}", price=number)
    assert held(at(table)) == {f"p{number}": number for number in range(5)}
    shop.put("p1", price=10)
    shop.put("new", price=7)
    shop.delete("p0")
    assert held(at(table)) == {"p1": 10, "p2": 2, "p3": 3, "p4": 4, "new": 7}
    assert shop.reads.builds == 1
    assert sorted(shop.reads.read) == ["new", "p0", "p1"]


def test_columns_stay_the_same_object_while_nothing_is_reported(
    shop: Shop, table: ColumnTable
) -> None:
    shop.put("a", price=1)
    columns = at(table)
    assert at(table) is columns
    shop.write("b", price=1)
    assert at(table) is columns


def test_columns_carry_the_generation_that_searches_read(
    shop: Shop, table: ColumnTable, client: redis.Redis
) -> None:
    shop.put("a", price=1)
    assert at(table).generation == Generations(client).current(TENANT)
    shop.put("a", price=2)
    assert at(table).generation == Generations(client).current(TENANT)


def test_what_changes_while_all_is_read_is_not_missed(shop: Shop, table: ColumnTable) -> None:
    names = [f"p{number}" for number in range(6)]
    for name in names:
        shop.put(name, price=1)
    changes = iter(names)

    def change() -> None:
        name = next(changes)
        if name == "p1":
            shop.delete(name)
        else:
            shop.put(name, price=2)

    shop.reads.between_pages = change
    at(table)
    shop.reads.between_pages = None
    assert held(at(table)) == {"p0": 2, "p2": 2, "p3": 1, "p4": 1, "p5": 1}


@pytest.mark.parametrize("loss", ["stream", "mark", "cut", "all", "restored", "rebuilt"])
def test_a_log_that_was_lost_makes_the_table_anew(
    shop: Shop, table: ColumnTable, client: redis.Redis, loss: str
) -> None:
    shop.put("a", price=1)
    shop.put("b", price=1)
    at(table)
    shop.put("a", price=2)
    shop.delete("b")
    match loss:
        case "stream":
            client.delete("vitrine:changes:shop")
        case "mark":
            client.delete("vitrine:changes:shop", "vitrine:followed:shop")
            shop.put("a", price=2)
        case "cut":
            client.xtrim("vitrine:changes:shop", maxlen=1, approximate=False)
        case "all":
            client.flushall()
        case "restored":
            client.flushall()
            shop.put("c", price=3)
        case "rebuilt":
            LedgerRebuild(client).raise_generations({TENANT: 0})
    columns = table.at(TENANT) if loss != "all" else at(shop.table())
    assert isinstance(columns, Columns)
    assert held(columns) == {"a": 2} | ({"c": 3} if loss == "restored" else {})
    shop.put("d", price=4)
    assert held(at(table))["d"] == 4


def test_a_restored_index_is_seen_once_its_generations_are_raised(
    shop: Shop, table: ColumnTable, client: redis.Redis
) -> None:
    shop.put("a", price=1)
    at(table)
    shop.write("behind the ledger", price=5)
    LedgerRebuild(client).raise_generations({TENANT: 0})
    assert held(at(table)) == {"a": 1, "behind the ledger": 5}


def test_a_tenant_without_products_has_columns_without_any(table: ColumnTable) -> None:
    columns = at(table)
    assert len(columns) == 0
    assert columns.generation is None
    assert not columns.matching(Filters()).any()


def test_tenants_see_their_own_products_alone(shop: Shop, table: ColumnTable) -> None:
    shop.put("a", price=1)
    other = table.at("other")
    assert isinstance(other, Columns)
    assert len(other) == 0


def test_a_tenant_with_too_many_products_is_told_so_and_counted_again_seldom(shop: Shop) -> None:
    table = shop.table(max_products=3)
    for number in range(4):
        shop.put(f"p{number}")
    assert table.at(TENANT) == TooLarge(3)
    assert table.at(TENANT) == TooLarge(3)
    assert shop.reads.builds == 1
    table.close()


def test_a_tenant_that_grows_too_large_is_told_so(shop: Shop) -> None:
    table = shop.table(max_products=3)
    for number in range(3):
        shop.put(f"p{number}")
    assert len(at(table)) == 3
    shop.put("one too many")
    assert table.at(TENANT) == TooLarge(3)
    table.close()


def test_all_who_ask_at_once_share_one_build(shop: Shop, table: ColumnTable) -> None:
    shop.put("a", price=1)
    shop.reads.gate = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(at, table) for _ in range(8)]
        time.sleep(0.2)
        shop.reads.gate.set()
        assert [held(each.result(60)) for each in waiting] == [{"a": 1.0}] * 8
    assert shop.reads.builds == 1


def test_a_build_that_takes_too_long_goes_on_behind(shop: Shop) -> None:
    table = shop.table(timeout_seconds=0.2)
    shop.put("a", price=1)
    shop.reads.gate = threading.Event()
    for _ in range(2):
        with pytest.raises(SearchTimeout):
            table.at(TENANT)
    shop.reads.gate.set()
    patient = time.monotonic() + 60
    while time.monotonic() < patient:
        try:
            assert held(at(table)) == {"a": 1}
            break
        except SearchTimeout:
            continue
    assert shop.reads.builds == 1
    table.close()


def test_an_index_that_is_away_is_no_empty_catalogue(shop: Shop, table: ColumnTable) -> None:
    shop.put("a", price=1)
    shop.reads.fails = True
    with pytest.raises(QdrantUnavailable):
        table.at(TENANT)
    shop.reads.fails = False
    at(table)
    shop.put("a", price=2)
    shop.reads.fails = True
    with pytest.raises(QdrantUnavailable):
        table.at(TENANT)
    shop.reads.fails = False
    assert held(at(table)) == {"a": 2}
    assert shop.reads.builds == 1


def test_without_the_ledger_columns_are_read_anew_and_have_no_generation(
    shop: Shop, qdrant: QdrantService, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    client = connect(server.url, timeout=5.0)
    shop = Shop(client, qdrant)
    table = shop.table()
    shop.put("a", price=1)
    assert at(table).generation is not None
    claim = shop.write("b", price=2)
    server.kill9()
    try:
        assert at(table).generation is None
        assert held(at(table)) == {"a": 1}  # seconds old
        monkeypatch.setattr(table_module, "_UNWATCHED_SECONDS", -1.0)
        with pytest.raises(SearchTimeout):
            impatient = shop.table(timeout_seconds=0.5)
            impatient.at(TENANT)
        monkeypatch.setattr(table_module, "_UNWATCHED_SECONDS", 60.0)
        other = shop.table()
        assert held(at(other)) == {"a": 1, "b": 2}
        server.start()
        shop.report(claim)
        patient = time.monotonic() + 60
        while at(table).generation is None and time.monotonic() < patient:
            time.sleep(0.1)
        assert held(at(table)) == {"a": 1, "b": 2}
        assert at(table).generation == Generations(client).current(TENANT)
        other.close()
    finally:
        server.stop()
        client.close()
        table.close()


def test_the_tables_of_all_tenants_stay_within_bounds(shop: Shop) -> None:
    table = shop.table(max_held=2)
    for number in range(2):
        shop.put(f"p{number}")
    first = at(table)
    assert at(table) is first
    table.at("empty")
    assert at(table) is first  # it fits
    table.close()
    small = shop.table(max_held=1)
    at(small)
    small.at("other")  # drops what is too much
    builds = shop.reads.builds
    assert len(at(small)) == 2
    assert shop.reads.builds == builds + 1
    small.close()


@pytest.mark.parametrize("seed", range(3))
def test_after_any_losses_and_changes_the_table_equals_the_index(
    shop: Shop, table: ColumnTable, client: redis.Redis, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"p{number}" for number in range(8)]
    late: list[Claim] = []

    def step() -> None:
        name = chance.choice(names)
        match chance.randrange(12):
            case 0:
                client.delete("vitrine:changes:shop")
            case 1:
                client.delete("vitrine:followed:shop")
            case 2:
                LedgerRebuild(client).raise_generations({TENANT: 0})
            case 3:
                client.xtrim("vitrine:changes:shop", maxlen=chance.randrange(3), approximate=False)
            case 4 | 5:
                shop.delete(name)
            case 6:
                late.append(shop.write(name, price=chance.randrange(100)))
            case 7 if late:
                shop.report(late.pop())
            case _:
                attributes = {"color": chance.choice(["red", "Red", "blue"])}
                shop.put(name, price=chance.randrange(100), attributes=attributes)

    for _ in range(40):
        step()
        at(table)
    while late:
        shop.report(late.pop())
    fresh = shop.table()
    expected, found = at(fresh), at(table)
    assert held(found) == held(expected)
    for name in expected.fields:
        of_expected, of_found = expected.column(name), found.column(name)
        assert of_expected is not None
        assert of_found is not None
        for product_id in held(expected):
            here, there = found.position_of(product_id), expected.position_of(product_id)
            assert here is not None
            assert there is not None
            assert of_found.value(here) == of_expected.value(there)
    fresh.close()


def test_readers_among_changes_never_see_less_than_was_reported(
    shop: Shop, table: ColumnTable
) -> None:
    shop.put("a", price=0)
    reported = 0
    ended = threading.Event()
    faults: list[str] = []

    def read() -> None:
        while not ended.is_set():
            least = reported
            price = held(at(table))["a"]
            if price < least:
                faults.append(f"{price} after {least} was reported")

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for price in range(1, 40):
        shop.put("a", price=price)
        reported = price
    ended.set()
    for reader in readers:
        reader.join(60)
    assert faults == []
    assert shop.reads.builds == 1
