"""What is not embedded: unchanged pictures, patches, and bad new pictures of indexed products."""

import threading
import time
from collections.abc import Mapping, Sequence

import pytest
import redis
from qdrant_client import models

from shared.errors import ProductNotFound
from shared.ledger import RowsAtRest
from shared.models.change import Change, Lane, Outcome, Report, State
from shared.qdrant.points import PointWrite, ProductKey
from tests.integration.worker.conftest import LEASE_SECONDS, TENANT, Worker
from tests.pictures import blank_picture, picture


def test_the_same_catalogue_again_embeds_and_downloads_nothing(worker: Worker) -> None:
    worker.pictures.serves_etags = True
    products = [worker.product(f"p{i}", picture((i, 0, 0)), price=i) for i in range(20)]
    worker.push(*products)
    worker.bells.serve()
    worker.pictures.sent.clear()
    before = worker.stored("p3")
    job_id = worker.push(*products)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.UNCHANGED: 20}
    assert worker.encoder.embedded == 20
    assert worker.pictures.sent == []
    after = worker.stored("p3")
    assert after.rev > before.rev
    assert after.product == before.product
    assert after.embedding == before.embedding


def test_numbers_of_many_digits_are_unchanged_too(worker: Worker) -> None:
    taxed = {"price": 10.0 + 112 / 100, "attributes": {"weight": 19.99 * 1.2, "size": "M"}}
    product = worker.product("p", picture(), **taxed)
    worker.push(product)
    worker.bells.serve()
    job_id = worker.push(product)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.UNCHANGED: 1}
    job_id = worker.push(product.model_copy(update={"price": 11.13}))
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}


def test_without_etags_the_bytes_decide(worker: Worker) -> None:
    product = worker.product("p", picture())
    worker.push(product)
    worker.bells.serve()
    job_id = worker.push(product)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.UNCHANGED: 1}
    assert worker.encoder.embedded == 1
    assert len(worker.pictures.sent) == 2


def test_other_bytes_behind_one_url_are_embedded_once(worker: Worker) -> None:
    worker.pictures.serves_etags = True
    products = [worker.product(f"p{i}", picture((i, 0, 0))) for i in range(5)]
    worker.push(*products)
    worker.bells.serve()
    worker.product("p2", picture((0, 200, 0)))
    job_id = worker.push(*products)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.UNCHANGED: 4, Outcome.INDEXED: 1}
    assert worker.encoder.embedded == 6


def test_another_url_with_the_same_bytes_is_not_embedded(worker: Worker) -> None:
    worker.pictures.serves_etags = True
    product = worker.product("p", picture())
    worker.push(product)
    worker.bells.serve()
    moved = product.model_copy(update={"image_url": worker.pictures.add("/moved.jpg", picture())})
    job_id = worker.push(moved)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.encoder.embedded == 1
    assert worker.stored("p").product.image_url == moved.image_url


def test_a_new_price_with_the_same_picture_is_written_and_not_embedded(worker: Worker) -> None:
    product = worker.product("p", picture(), price=10)
    worker.push(product)
    worker.bells.serve()
    job_id = worker.push(product.model_copy(update={"price": 12}))
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.stored("p").product.price == 12
    assert worker.encoder.embedded == 1


def test_a_date_that_the_shop_does_not_send_is_that_of_the_first_push(worker: Worker) -> None:
    product = worker.product("p", picture())
    worker.push(product)
    worker.bells.serve()
    first = worker.stored("p").product.created_at
    worker.push(product)
    worker.bells.serve()
    assert first is not None
    assert worker.stored("p").product.created_at == first


def test_a_bad_new_picture_keeps_the_old_vector_and_says_so(worker: Worker) -> None:
    product = worker.product("p", picture(), price=10)
    worker.push(product)
    worker.bells.serve()
    before = worker.stored("p")
    bad = product.model_copy(
        update={"price": 12, "image_url": worker.pictures.add("/bad.jpg", b"<html>")}
    )
    job_id = worker.push(bad)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert item.code == "not_an_image"
    after = worker.stored("p")
    assert after.product.price == 12
    assert after.warnings == ("not_an_image",)
    assert after.embedding == before.embedding
    assert after.image.etag is None


def test_a_mended_picture_takes_the_warning_away(worker: Worker) -> None:
    worker.pictures.serves_etags = True
    product = worker.product("p", picture())
    worker.push(product)
    worker.bells.serve()
    bad = product.model_copy(update={"image_url": worker.pictures.url + "/missing.jpg"})
    worker.push(bad)
    worker.bells.serve()
    worker.pictures.add("/missing.jpg", picture((0, 0, 200)))
    worker.push(bad)
    worker.bells.serve()
    assert worker.stored("p").warnings == ()
    assert worker.encoder.embedded == 2


def test_a_passing_fault_is_tried_again_before_the_old_vector_is_kept(worker: Worker) -> None:
    product = worker.product("p", picture())
    worker.push(product)
    worker.bells.serve()
    worker.pictures.statuses["/p.jpg"] = 503
    job_id = worker.push(product)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.stored("p").warnings == ("image_http_error",)


@pytest.mark.parametrize("status", [503, 404])
def test_a_warning_that_is_found_done_is_told_as_before(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    product = worker.product("p", picture())
    worker.push(product)
    worker.bells.serve()
    worker.pictures.statuses["/p.jpg"] = status
    job_id = worker.push(product)
    if status == 503:
        worker.bells.serve()
    reports: list[Report] = []
    with monkeypatch.context() as patch:
        patch.setattr(worker.ledger, "report", lambda _, given: reports.extend(given) or [])
        worker.bells.serve()
    time.sleep(LEASE_SECONDS + 0.1)
    worker.bells.serve()
    item = worker.jobs.item(TENANT, worker.job(job_id))
    # An item that has landed is not one that a retry takes.
    assert (item.code, item.retryable) == (reports[0].code, False)
    worker.patch("p", price=1)
    worker.bells.serve()
    stored = worker.stored("p")
    assert stored.warnings == (item.code,)


def test_a_patch_changes_fields_without_a_look_at_the_picture(worker: Worker) -> None:
    worker.push(worker.product("p", picture(), price=10, attributes={"color": "red", "stock": 3}))
    worker.bells.serve()
    asked = len(worker.pictures.requests)
    job_id = worker.patch("p", price=8.5, attributes={"stock": 2}, description="new")
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    product = worker.stored("p").product
    assert (product.price, product.description) == (8.5, "new")
    assert product.attributes == {"color": "red", "stock": 2}
    assert len(worker.pictures.requests) == asked
    assert worker.encoder.embedded == 1


def test_ten_patches_cost_one_write(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.push(worker.product("p", picture()))
    worker.bells.serve()
    writes = []
    write = worker.qdrant.upsert_products

    def counted(points: Sequence[PointWrite]) -> Mapping[ProductKey, int]:
        writes.append(len(points))
        return write(points)

    monkeypatch.setattr(worker.qdrant, "upsert_products", counted)
    jobs = [worker.patch("p", price=price) for price in range(10)]
    worker.bells.serve()
    assert writes == [1]
    assert [worker.counts(job_id) for job_id in jobs] == [{Outcome.INDEXED: 1}] * 10
    assert worker.stored("p").product.price == 9


def test_a_patch_merged_into_a_put_lands_with_it(worker: Worker) -> None:
    worker.push(worker.product("p", picture(), price=10, description="old"))
    worker.patch("p", price=11, description=None)
    worker.bells.serve()
    product = worker.stored("p").product
    assert (product.price, product.description) == (11, None)


def test_patches_that_break_a_limit_together_fail_with_a_reason(worker: Worker) -> None:
    worker.push(worker.product("p", picture(), attributes={f"a{i}": i for i in range(60)}))
    worker.bells.serve()
    job_id = worker.patch("p", attributes={f"b{i}": i for i in range(10)})
    worker.bells.serve()
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert (item.outcome, item.code) == (Outcome.FAILED, "internal_error")
    assert "64" in (item.message or "")


def fate(worker: Worker, job_id: str) -> tuple[Outcome, str | None]:
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert item is not None
    return item.outcome, item.code


def attributes(prefix: str, count: int) -> dict[str, int]:
    return {f"{prefix}{number}": number for number in range(count)}


def test_a_patch_that_breaks_a_limit_fails_alone_and_the_put_it_waits_with_lands(
    worker: Worker,
) -> None:
    put = worker.push(worker.product("p", picture(), attributes=attributes("a", 60)))
    good = worker.patch("p", price=5)
    bad = worker.patch("p", attributes=attributes("b", 10))
    last = worker.patch("p", attributes=attributes("c", 4))
    worker.bells.serve()
    assert [fate(worker, job_id) for job_id in (put, good, bad, last)] == [
        (Outcome.INDEXED, None),
        (Outcome.INDEXED, None),
        (Outcome.FAILED, "internal_error"),
        (Outcome.INDEXED, None),
    ]
    item = worker.jobs.item(TENANT, worker.job(bad))
    assert (item.attempts, item.retryable) == (1, False)
    assert "64" in (item.message or "")
    product = worker.stored("p").product
    assert product.price == 5
    assert product.attributes == attributes("a", 60) | attributes("c", 4)


def test_of_patches_that_wait_together_only_the_one_that_breaks_a_limit_fails(
    worker: Worker,
) -> None:
    worker.push(worker.product("p", picture(), attributes=attributes("a", 60)))
    worker.bells.serve()
    bad = worker.patch("p", attributes=attributes("b", 10))
    good = worker.patch("p", price=5)
    worker.bells.serve()
    assert [fate(worker, job_id) for job_id in (bad, good)] == [
        (Outcome.FAILED, "internal_error"),
        (Outcome.INDEXED, None),
    ]
    assert worker.stored("p").product.price == 5


@pytest.mark.parametrize("live", [False, True])
def test_a_patch_that_breaks_a_limit_fails_also_where_the_rest_is_found_done(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    product = worker.product("p", picture(), attributes=attributes("a", 60))
    first = worker.push(product)
    if live:
        worker.bells.serve()
        first = worker.patch("p", name="New")
    bad = worker.patch("p", attributes=attributes("b", 10))
    with monkeypatch.context() as patch:
        patch.setattr(worker.ledger, "report", lambda *_: [])
        worker.bells.serve()
    time.sleep(LEASE_SECONDS + 0.1)
    worker.bells.serve()
    assert fate(worker, first) == (Outcome.INDEXED, None)
    assert fate(worker, bad) == (Outcome.FAILED, "internal_error")


def test_a_patch_that_broke_a_limit_takes_no_retry_of_its_put_down(worker: Worker) -> None:
    """The retry is of the put alone: the patch is merged again, and is still not the put's item."""
    put = worker.push(worker.product("p", picture(), attributes=attributes("a", 60)))
    bad = worker.patch("p", attributes=attributes("b", 10))
    worker.pictures.statuses["/p.jpg"] = 503
    worker.bells.serve()
    worker.bells.serve()
    assert fate(worker, put) == (Outcome.FAILED, "image_http_error")
    assert fate(worker, bad) == (Outcome.FAILED, "internal_error")
    worker.pictures.statuses.clear()
    retried = worker.ledger.retry(TENANT, put, ["p"]).job_id
    good = worker.patch("p", price=5)
    worker.bells.serve()
    assert fate(worker, retried) == fate(worker, good) == (Outcome.INDEXED, None)
    assert worker.stored("p").product.price == 5


def test_fields_decided_beside_an_outdated_picture_are_decided_again(worker: Worker) -> None:
    """A put finds its picture unchanged; before it writes, an older put brings another picture.

    The order: the old put (new bytes) is fetched and stops before its write; the newer put is
    accepted and finds the bytes that are indexed still behind the URL; then the old one writes.
    """
    url = "/p.jpg"
    worker.push(worker.product("p", picture((1, 1, 1)), price=1))
    worker.bells.serve()
    other = picture((2, 2, 2))

    write = worker.qdrant.upsert_products
    reached, go_on = threading.Event(), threading.Event()

    def stop_before_writing(points):  # type: ignore[no-untyped-def]
        if threading.current_thread().name == "old":
            reached.set()
            go_on.wait(60)
        return write(points)

    worker.qdrant.upsert_products = stop_before_writing  # type: ignore[method-assign]
    worker.pictures.add(url, other)
    worker.push(worker.product("p", price=2))
    old = threading.Thread(target=worker.bells.serve, name="old")
    old.start()
    assert reached.wait(60)
    # The newer put sees the first picture again: unchanged against what is indexed.
    worker.pictures.add(url, picture((1, 1, 1)))
    job_id = worker.push(worker.product("p", price=3))

    decided = worker.qdrant.stored

    def let_the_old_one_write_after_the_look(keys):  # type: ignore[no-untyped-def]
        found = decided(keys)
        go_on.set()
        old.join(60)
        return found

    worker.qdrant.stored = let_the_old_one_write_after_the_look  # type: ignore[method-assign]
    worker.bells.serve()
    # The payload was not written beside the other picture's vector.
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.qdrant.stored = decided  # type: ignore[method-assign]
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    stored = worker.stored("p")
    (vector,) = worker.encoder.embed_images([worker.encoder.prepare(picture((1, 1, 1)))])
    assert stored.product.price == 3
    assert stored.embedding == pytest.approx(vector, abs=1e-6)


def test_a_patch_of_a_product_that_the_index_lost_fails_with_advice(worker: Worker) -> None:
    worker.push(worker.product("p", picture()))
    held = worker.ledger.claim([Lane.BULK], 1)
    worker.ledger.report(held, [Report(TENANT, "p", held.wanted[0].rev, Outcome.INDEXED)])
    job_id = worker.patch("p", price=1)
    worker.bells.serve()
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert item.outcome is Outcome.FAILED
    assert "send it as a whole again" in (item.message or "")
    with pytest.raises(ProductNotFound):
        worker.patch("p", price=2)


def test_a_product_that_a_patch_found_lost_is_named_and_its_version_taken_again(
    worker: Worker, client: redis.Redis
) -> None:
    product = worker.product("p", picture(), version=7)
    worker.push(product)
    worker.bells.serve()
    worker.qdrant._client.delete(worker.qdrant.collection, models.Filter())
    worker.patch("p", price=1)
    worker.bells.serve()
    # As `make rebuild-ledger` looks for it, however late.
    (row,) = [row for page in RowsAtRest(client).pages() for row in page]
    assert (row.state, row.incomplete, row.failed) == (State.ABSENT, True, False)
    assert client.ttl(f"vitrine:row:{TENANT}:p") == -1
    lower = worker.push(product.model_copy(update={"version": 6}))
    assert worker.counts(lower) == {Outcome.STALE: 1}
    again = worker.push(product)
    worker.bells.serve()
    assert worker.counts(again) == {Outcome.INDEXED: 1}
    later = worker.push(product)
    assert worker.counts(later) == {Outcome.STALE: 1}


def test_a_delete_after_patches_wins(worker: Worker) -> None:
    worker.push(worker.product("p", picture()))
    worker.bells.serve()
    worker.patch("p", price=1)
    worker.ledger.accept(TENANT, Lane.FAST, [Change.delete("p")])
    worker.bells.serve()
    assert worker.qdrant.get_product(TENANT, "p") is None


def test_a_blank_picture_is_indexed_with_a_warning_that_stays_as_long_as_it_does(
    worker: Worker,
) -> None:
    blank = worker.product("p", blank_picture())
    for outcome in (Outcome.INDEXED, Outcome.UNCHANGED):
        job_id = worker.push(blank)
        worker.bells.serve()
        assert worker.counts(job_id) == {outcome: 1}
        (item,), _ = worker.jobs.items(TENANT, worker.job(job_id), outcome, None, 10)
        assert (item.outcome, item.code, item.retryable) == (outcome, "image_blank", False)
        assert list(worker.stored("p").warnings) == ["image_blank"]
    worker.push(worker.product("p", picture()))
    worker.bells.serve()
    assert list(worker.stored("p").warnings) == []
