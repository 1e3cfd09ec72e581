"""Rows made anew from the index: after the loss of Redis alone, and beside what it took since."""

import time

import pytest

from operations.rebuild import rebuild
from shared.models.change import Aspect, Change
from shared.models.product import Product
from shared.qdrant.points import Tombstone
from shared.qdrant.recovery.transfer import PAGE
from tests.integration.operations.conftest import TENANT, Site, live, product
from worker.upkeep.ledger_watch import LedgerWatch

HOUR_US = 3_600_000_000


def run(site: Site) -> tuple[int, int, int]:
    *_, (_, rows) = rebuild(site.points.facts(), site.rows, site.loss)
    return rows.added, rows.raised, rows.left


def outcomes(site: Site, job_id: str) -> list[str]:
    job = site.jobs.get(TENANT, job_id)
    assert job is not None
    return [item.outcome for item in site.jobs.items(TENANT, job, None, None, 100)[0]]


def test_rows_are_what_they_were_before_redis_was_lost(site: Site) -> None:
    for number in range(PAGE + 3):
        site.put(f"p/{number}", version=number)
    site.put("plain")
    site.work()
    site.accept(Change.delete("p/1", version=9))
    site.work()
    names = [*(f"p/{number}" for number in range(PAGE + 3)), "plain"]
    before = {name: site.row(name) for name in names}
    tombstones = site.redis.zrange("vitrine:graves", 0, -1, withscores=True)
    site.redis.flushall()
    assert run(site) == (PAGE + 4, 0, 0)
    assert {name: site.row(name) for name in names} == before
    assert site.redis.zrange("vitrine:graves", 0, -1, withscores=True) == tombstones
    # Twice changes nothing.
    assert run(site) == (0, 0, PAGE + 4)
    assert {name: site.row(name) for name in names} == before


def test_an_older_version_is_stale_after_it_and_a_deleted_product_stays_deleted(site: Site) -> None:
    site.put("live", version=7)
    site.put("gone", version=7)
    site.work()
    site.accept(Change.delete("gone", version=8))
    site.work()
    site.redis.flushall()
    run(site)
    assert outcomes(site, site.put("live", version=6)) == ["stale"]
    assert outcomes(site, site.put("live", version=7)) == ["stale"]
    assert outcomes(site, site.put("gone", version=7)) == ["stale"]
    site.work()
    assert site.qdrant.get_product(TENANT, "gone") is None
    job = site.put("live", version=8, price=2)
    site.work()
    assert outcomes(site, job) == ["indexed"]


def test_changes_land_although_the_clock_was_set_back(site: Site) -> None:
    ahead = int(time.time() * 1e6) + HOUR_US
    site.qdrant.upsert_product(live(product("live"), ahead))
    site.qdrant.upsert_product(Tombstone(TENANT, "gone", ahead))
    run(site)
    for name in ("live", "gone"):
        site.put(name, price=5)
    site.work()
    for name in ("live", "gone"):
        held = site.qdrant.get_product(TENANT, name)
        assert held is not None
        assert held.product.price == 5
        assert held.rev > ahead


def test_no_answer_cached_before_is_found_after_it(site: Site) -> None:
    ahead = int(time.time() * 1e6) + HOUR_US
    site.qdrant.upsert_product(live(product("live"), ahead))
    assert site.generations.current(TENANT) is None
    run(site)
    once = site.generations.current(TENANT)
    run(site)
    twice = site.generations.current(TENANT)
    assert once and twice
    for aspect in Aspect:
        assert ahead < int(once[aspect]) < int(twice[aspect])


def test_a_row_that_is_newer_keeps_its_rev_and_learns_what_it_lacks(site: Site) -> None:
    site.put("live", version=7)
    site.work()
    site.redis.flushall()
    # Accepted by a ledger that had forgotten the product: it waits while the rows are rebuilt.
    job = site.put("live", price=3)
    rev = site.row("live")["rev"]
    assert run(site) == (0, 0, 1)
    assert site.row("live") == {"rev": rev, "version": "7", "state": "live"}
    site.work()
    assert outcomes(site, job) == ["indexed"]
    assert outcomes(site, site.put("live", version=6)) == ["stale"]


def test_a_ledger_older_than_the_index_is_brought_up_to_it(site: Site) -> None:
    job = site.put("live", version=1)
    site.put("failed", version=1)
    old = list(site.snapshot.records())
    site.fail()
    site.put("live", version=2, price=2)
    site.put("failed", version=2)
    site.work()
    site.redis.flushall()
    for record in old:
        if record["kind"] == "job":
            site.target.ledger.job(record)
    site.target.ledger.products([record for record in old if record["kind"] == "product"])
    assert run(site) == (0, 2, 0)
    assert site.row("live")["version"] == "2"
    # What waited is older than what the index holds, so it ends without being written.
    assert site.claim().wanted == []
    assert outcomes(site, job) == ["superseded"]
    assert outcomes(site, site.put("live", version=1)) == ["stale"]


def test_a_lost_ledger_is_noticed_and_a_rebuilt_one_is_not(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not LedgerWatch(site.loss, site.qdrant).check()
    site.put("live")
    site.work()
    assert not LedgerWatch(site.loss, site.qdrant).check()
    site.redis.flushall()
    site.put("other")
    assert LedgerWatch(site.loss, site.qdrant).check()
    logged = capsys.readouterr()  # to standard error once a command of operations has run
    assert "make rebuild-ledger" in logged.out + logged.err
    run(site)
    assert not LedgerWatch(site.loss, site.qdrant).check()


def test_a_picture_that_the_index_awaits_is_wanted_again(site: Site) -> None:
    site.put("p", version=7)
    site.work()
    site.show_fields("p", "https://shop.example/new.jpg", price=5)
    site.redis.flushall()
    run(site)
    (wanted,) = site.claim().wanted
    assert (wanted.kind, wanted.rev) == (
        "put",
        site.qdrant.stored([(TENANT, "p")])[TENANT, "p"].rev,
    )
    put = Product.model_validate_json(wanted.body)
    assert (put.image_url, put.price) == ("https://shop.example/new.jpg", 5)
    assert outcomes(site, site.put("p", version=7)) == ["pending"]  # it may be sent again, too
