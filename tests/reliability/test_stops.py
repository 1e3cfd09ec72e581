"""Single stories of workers that stop or fall behind, told step by step.

The stateful test of order finds such stories; here they stand by name.
"""

import threading
from collections.abc import Iterator

import pytest

from shared.models.change import Lane
from tests.reliability.reference import Outcome, State
from tests.reliability.shop import Delete, Patch, Put, Servers, Shop

MAX_ATTEMPTS = 2
FAST, PICTURES, ALL = 0, 1, 2
"""Workers by the lanes they serve."""


@pytest.fixture
def shop(servers: Servers) -> Iterator[Shop]:
    shop = Shop(servers, max_attempts=MAX_ATTEMPTS)
    yield shop
    shop.close()


def stop_at(shop: Shop, worker: int, at: str) -> None:
    """The worker answers a bell and dies at the checkpoint; its leases run out."""
    shop.answer(worker)
    shop.advance_to(worker, at)
    shop.stop(worker)
    shop.end_leases()


def test_a_worker_that_dies_before_its_report_leaves_work_that_is_found_done(shop: Shop) -> None:
    job_id = shop.call([Put("p")], Lane.SINGLE)
    stop_at(shop, PICTURES, "before ledger.report")
    shop.answer(PICTURES)
    shop.finish(PICTURES)
    assert shop.outcomes(job_id) == [Outcome.INDEXED]


def test_a_product_that_stops_its_workers_before_the_write_is_given_up(shop: Shop) -> None:
    job_id = shop.call([Put("p")], Lane.SINGLE)
    for _ in range(MAX_ATTEMPTS + 1):
        stop_at(shop, PICTURES, "before encoder.embed_images")
    shop.settle()
    assert shop.outcomes(job_id) == [Outcome.FAILED]


def test_what_the_index_holds_is_not_given_up_however_often_its_report_was_lost(
    shop: Shop,
) -> None:
    job_id = shop.call([Put("p")], Lane.SINGLE)
    for _ in range(MAX_ATTEMPTS + 1):
        stop_at(shop, PICTURES, "before ledger.report")
    shop.settle()
    assert shop.outcomes(job_id) == [Outcome.INDEXED]


def test_a_deletion_that_stands_is_not_given_up_however_often_its_report_was_lost(
    shop: Shop,
) -> None:
    job_id = shop.call([Delete("p")], Lane.FAST)
    for _ in range(MAX_ATTEMPTS + 1):
        stop_at(shop, FAST, "before ledger.report")
    shop.settle()
    assert shop.outcomes(job_id) == [Outcome.DELETED]


def test_a_slow_worker_that_lands_what_was_given_up_brings_the_row_up_to_date(shop: Shop) -> None:
    """The items have ended and stay failed; the row is of the same rev, and follows."""
    job_id = shop.call([Put("p")], Lane.SINGLE)
    for _ in range(MAX_ATTEMPTS):
        stop_at(shop, PICTURES, "before encoder.embed_images")
    shop.answer(ALL)
    shop.advance_to(ALL, "before qdrant.upsert_products")
    shop.end_leases()
    shop.answer(PICTURES)
    shop.finish(PICTURES)
    assert shop.outcomes(job_id) == [Outcome.FAILED]
    shop.finish(ALL)
    assert shop.model.row("p").state is State.LIVE
    shop.settle()


def test_an_overtaken_put_that_was_written_is_known_to_the_row_after_its_successor_failed(
    shop: Shop,
) -> None:
    shop.call([Put("p", "First")], Lane.SINGLE)
    stop_at(shop, PICTURES, "before ledger.report")
    job_id = shop.call([Put("p", "Second", picture="/missing.jpg")], Lane.SINGLE)
    shop.settle()
    assert shop.outcomes(job_id) == [Outcome.INDEXED]
    assert list(shop.disagreeing()) == []


def test_an_overtaken_deletion_that_was_written_is_known_to_the_row_after_its_successor_failed(
    shop: Shop,
) -> None:
    shop.call([Put("p", "First")], Lane.SINGLE)
    shop.settle()
    shop.call([Delete("p")], Lane.FAST)
    stop_at(shop, FAST, "before ledger.report")
    job_id = shop.call([Put("p", "Second", picture="/missing.jpg")], Lane.SINGLE)
    shop.settle()
    assert shop.outcomes(job_id) == [Outcome.FAILED]
    assert list(shop.disagreeing()) == []


@pytest.mark.parametrize("last", [Put("p"), Delete("p"), Delete("p", version=8)])
def test_the_index_knows_the_version_as_the_row_does(shop: Shop, last: Put | Delete) -> None:
    """Rows can be rebuilt from the index only if it does."""
    shop.call([Put("p", version=7)], Lane.SINGLE)
    shop.settle()
    shop.call([last], Lane.SINGLE)
    shop.settle()
    assert shop.stored_version("p") == shop.model.row("p").version


def test_a_patched_product_that_stops_its_workers_still_stands_alone(shop: Shop) -> None:
    shop.call([Put("p")], Lane.SINGLE)
    stop_at(shop, PICTURES, "before encoder.embed_images")
    shop.call([Patch("p", (("price", 2.5),))], Lane.FAST)
    shop.call([Put("q")], Lane.SINGLE)
    shop.answer(PICTURES)
    shop.advance_to(PICTURES, "after ledger.stand_alone")
    assert shop.model.row("q").wanted is None
    shop.advance_to(PICTURES, "before encoder.embed_images")
    shop.stop(PICTURES)
    shop.end_leases()
    shop.settle()
    assert shop.model.row("p").accepted[shop.model.row("p").ticket].attempts == 1


def test_a_product_that_is_patched_while_it_stops_its_workers_is_given_up_all_the_same(
    shop: Shop,
) -> None:
    """However often its price changes: each stop counts, and each is met alone."""
    job_id = shop.call([Put("p")], Lane.SINGLE)
    for price in range(MAX_ATTEMPTS + 1):
        shop.answer(PICTURES)
        shop.advance_to(PICTURES, "before encoder.embed_images")
        shop.call([Patch("p", (("price", float(price)),))], Lane.FAST)
        shop.stop(PICTURES)
        shop.end_leases()
    shop.settle()
    assert shop.outcomes(job_id) == [Outcome.FAILED]


@pytest.mark.parametrize("at", ["after qdrant.upsert_products", "after ledger.report"])
def test_a_patch_is_not_lost_with_the_worker_that_showed_it_before_the_picture(
    shop: Shop, servers: Servers, at: str
) -> None:
    """Whether it dies before or after it could say so."""
    shop.call([Put("p", price=1.0)], Lane.SINGLE)
    shop.settle()
    came = servers.pictures.delays["/b.jpg"] = threading.Event()
    put = shop.call([Put("p", picture="/b.jpg", price=2.0)], Lane.SINGLE)
    shop.answer(ALL)
    shop.advance_to(ALL, "after ledger.report")
    assert shop.stored_price("p") == 2.0
    patch = shop.call([Patch("p", (("price", 2.5),))], Lane.FAST)
    shop.advance_to(ALL, "after ledger.refresh")
    shop.advance_to(ALL, at)
    assert shop.stored_price("p") == 2.5
    shop.stop(ALL)
    shop.end_leases()
    came.set()
    del servers.pictures.delays["/b.jpg"]
    shop.settle()
    assert shop.outcomes(put) == shop.outcomes(patch) == [Outcome.INDEXED]
    assert shop.stored_price("p") == 2.5
