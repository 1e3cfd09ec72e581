"""Fields never wait for pictures: those of a live product are written before its picture is had."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from shared.errors import ItemCode, LedgerUnavailable
from shared.models.change import Change, Lane, Outcome
from shared.models.product import Product
from tests.integration.fetch.picture_server import ScriptedServer, reply, sends
from tests.integration.worker.conftest import TENANT, Worker
from tests.pictures import picture
from tests.waiting import wait_until
from worker.reconcile.decide import Decisions
from worker.reconcile.faults import BLANK
from worker.reconcile.plan import PendingPut, PlannedWrite, Plans
from worker.reconcile.reports import RetryPolicy, landed, released

LATER = 3600


def hang(worker: Worker, path: str) -> threading.Event:
    """The picture at this path comes once the event is set."""
    worker.pictures.files.setdefault(path, picture((0, 0, 200)))
    event = worker.pictures.delays[path] = threading.Event()
    return event


@pytest.fixture
def refusing() -> Iterator[ScriptedServer]:
    """Asks everybody to come again in an hour."""
    answer = reply(b"", f"Retry-After: {LATER}", status="429 Too Many Requests")
    server = ScriptedServer(sends(answer))
    yield server
    server.close()


def live(worker: Worker, **fields: object) -> Product:
    product = worker.product("p", picture(), price=10, **fields)
    worker.push(product)
    worker.bells.serve()
    return product


def moved(product: Product, url: str, **fields: object) -> Product:
    return product.model_copy(update={"image_url": url, **fields})


def test_fields_are_written_beside_the_old_picture_while_the_new_one_is_not_to_be_had(
    worker: Worker, refusing: ScriptedServer
) -> None:
    product = live(worker)
    before = worker.stored("p")
    job_id = worker.push(moved(product, refusing.url("/new.jpg"), price=12, name="New"))
    worker.bells.serve()
    after = worker.stored("p")
    assert (after.product.price, after.product.name) == (12, "New")
    assert after.product.image_url == product.image_url
    assert (after.embedding, after.image, after.warnings) == (before.embedding, before.image, ())
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    status = worker.ledger.product_status(TENANT, "p")
    assert status is not None
    assert status.rev == after.rev > before.rev


def test_the_picture_follows_under_the_same_rev_and_then_the_item_ends(worker: Worker) -> None:
    product = live(worker)
    before = worker.stored("p")
    worker.pictures.add("/new.jpg", picture((0, 0, 200)))
    worker.pictures.statuses["/new.jpg"] = 503
    job_id = worker.push(moved(product, worker.pictures.url + "/new.jpg", price=12))
    worker.bells.serve()
    fields_rev = worker.stored("p").rev
    worker.pictures.statuses.clear()
    worker.bells.serve()
    after = worker.stored("p")
    assert after.rev == fields_rev
    assert after.product.image_url == worker.pictures.url + "/new.jpg"
    assert after.embedding != before.embedding
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    # No trace is left: the next change of nothing is none.
    assert not worker.qdrant.stored([(TENANT, "p")])[TENANT, "p"].awaits_picture


def test_a_patch_of_what_waits_for_its_picture_shows_at_once(
    worker: Worker, refusing: ScriptedServer
) -> None:
    product = live(worker)
    worker.push(moved(product, refusing.url("/new.jpg"), price=12), lane=Lane.SINGLE)
    worker.bells.serve()
    asked = len(refusing.requests)
    for price in (13, 14):
        worker.patch("p", price=price)
        worker.bells.serve()
        assert worker.stored("p").product.price == price
    # Its server asked for patience, and gets it.
    assert len(refusing.requests) == asked
    waiting = worker.ledger.product_status(TENANT, "p").waiting  # type: ignore[union-attr]
    assert waiting is not None
    assert waiting.next_try_at.timestamp() > time.time() + LATER / 2


def test_a_patch_that_comes_while_the_picture_is_asked_for_shows_at_once(worker: Worker) -> None:
    product = live(worker)
    patched = threading.Event()

    def answer(connection, _path, _head):  # type: ignore[no-untyped-def]
        if not patched.is_set():
            worker.patch("p", price=13)
            patched.set()
        connection.sendall(reply(b"", f"Retry-After: {LATER}", status="503 Service Unavailable"))

    server = ScriptedServer(answer)
    worker.push(moved(product, server.url("/new.jpg"), price=12))
    worker.bells.serve()
    worker.bells.serve()
    server.close()
    assert worker.stored("p").product.price == 13


def test_fields_do_not_wait_for_a_picture_that_is_slow(worker: Worker) -> None:
    worker.reconciler._fields_seconds = 0.1
    product = live(worker)
    worker.pictures.add("/slow.jpg", picture((0, 0, 200)))
    may_answer = worker.pictures.delays["/slow.jpg"] = threading.Event()
    job_id = worker.push(
        moved(product, worker.pictures.url + "/slow.jpg", price=12), lane=Lane.SINGLE
    )
    answering = threading.Thread(target=worker.bells.serve)
    answering.start()
    wait_until(lambda: worker.stored("p").product.price == 12)
    assert worker.stored("p").product.image_url == product.image_url
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    may_answer.set()
    answering.join()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.stored("p").product.image_url == worker.pictures.url + "/slow.jpg"


def test_fields_that_are_the_same_are_compared_once_while_the_picture_is_slow(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.reconciler._fields_seconds = 0.0
    product = live(worker)
    came = hang(worker, "/slow.jpg")
    compared: list[str] = []
    plan = Plans.with_fields_first

    def counted(plans: Plans, put: PendingPut, *others: Any) -> PlannedWrite:
        compared.append(put.product.id)
        return plan(plans, put, *others)

    monkeypatch.setattr(Plans, "with_fields_first", counted)
    put = worker.push(moved(product, worker.pictures.url + "/slow.jpg"), lane=Lane.SINGLE)
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: "/slow.jpg" in worker.pictures.requests)
        time.sleep(0.5)  # ten looks of an urgent put
        came.set()
        answered.result(60)
    assert compared == ["p"]
    assert worker.counts(put) == {Outcome.INDEXED: 1}


@pytest.mark.parametrize("lane", [Lane.SINGLE, Lane.BULK])
def test_patches_show_in_their_order_while_the_picture_is_being_read(
    worker: Worker, lane: Lane
) -> None:
    product = live(worker)
    came = hang(worker, "/slow.jpg")
    put = worker.push(moved(product, worker.pictures.url + "/slow.jpg", price=12), lane=lane)
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: "/slow.jpg" in worker.pictures.requests)
        patches = []
        for price in (13, 14):
            began = time.monotonic()
            patches.append(worker.patch("p", price=price))
            wait_until(lambda price=price: worker.stored("p").product.price == price)
            assert time.monotonic() - began < 30
            status = worker.ledger.product_status(TENANT, "p")
            assert status is not None
            assert worker.stored("p").rev == status.rev
        assert worker.stored("p").product.image_url == product.image_url
        assert worker.counts(put) == {Outcome.PENDING: 1}
        came.set()
        answered.result(60)
    after = worker.stored("p").product
    assert (after.price, after.image_url) == (14, worker.pictures.url + "/slow.jpg")
    assert [worker.counts(job_id) for job_id in (put, *patches)] == 3 * [{Outcome.INDEXED: 1}]
    assert not worker.qdrant.stored([(TENANT, "p")])[TENANT, "p"].awaits_picture


def test_a_patch_back_to_what_stood_before_the_put_is_a_change(worker: Worker) -> None:
    """The fields of the put stood in between, under the same picture."""
    product = live(worker)
    worker.reconciler._fields_seconds = 0.0
    came = hang(worker, "/p.jpg")
    put = worker.push(product.model_copy(update={"price": 12}), lane=Lane.SINGLE)
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: worker.stored("p").product.price == 12)
        patch = worker.patch("p", price=product.price)
        came.set()
        answered.result(60)
    assert worker.stored("p").product.price == product.price
    assert worker.counts(put) == worker.counts(patch) == {Outcome.INDEXED: 1}


def test_a_patch_that_breaks_a_limit_while_the_picture_is_being_read_fails_alone(
    worker: Worker,
) -> None:
    product = live(worker, attributes={f"a{at}": at for at in range(64)})
    came = hang(worker, "/slow.jpg")
    put = worker.push(moved(product, worker.pictures.url + "/slow.jpg"), lane=Lane.SINGLE)
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: "/slow.jpg" in worker.pictures.requests)
        good = worker.patch("p", price=13)
        bad = worker.patch("p", attributes={"one-more": 1})
        wait_until(lambda: worker.stored("p").product.price == 13)
        came.set()
        answered.result(60)
    assert worker.counts(put) == worker.counts(good) == {Outcome.INDEXED: 1}
    assert worker.counts(bad) == {Outcome.FAILED: 1}


def test_a_picture_is_not_waited_for_once_its_product_is_put_with_another(worker: Worker) -> None:
    product = live(worker)
    came = hang(worker, "/slow.jpg")
    old = worker.push(moved(product, worker.pictures.url + "/slow.jpg", price=12))
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        wait_until(lambda: "/slow.jpg" in worker.pictures.requests)
        new = worker.push(worker.product("p", picture((0, 0, 200)), price=13))
        worker.bells.serve()
        assert worker.counts(new) == {Outcome.INDEXED: 1}
        answered.result(60)
        assert not came.is_set()
    assert worker.counts(old) == {Outcome.SUPERSEDED: 1}
    assert worker.stored("p").product.price == 13


def test_pictures_are_read_to_their_end_while_the_ledger_tells_nothing_new(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise LedgerUnavailable("away for a moment", 1.0)

    monkeypatch.setattr(worker.ledger, "refresh", unavailable)
    live(worker)
    assert worker.stored("p").product.price == 10


def test_the_same_picture_after_its_fields_ends_as_indexed(worker: Worker) -> None:
    product = live(worker)
    worker.pictures.statuses["/p.jpg"] = 503
    job_id = worker.push(product.model_copy(update={"price": 12}))
    worker.bells.serve()
    assert worker.stored("p").product.price == 12
    worker.pictures.statuses.clear()
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.encoder.embedded == 1


def test_a_picture_that_is_given_up_ends_the_item_with_a_warning(worker: Worker) -> None:
    product = live(worker)
    before = worker.stored("p")
    worker.pictures.statuses["/new.jpg"] = 503
    new = moved(product, worker.pictures.url + "/new.jpg", price=12)
    job_id = worker.push(new)
    worker.bells.serve()
    worker.bells.serve()
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert item is not None
    assert (item.outcome, item.code) == (Outcome.INDEXED, "image_http_error")
    after = worker.stored("p")
    assert (after.warnings, after.embedding) == (("image_http_error",), before.embedding)
    assert not worker.qdrant.stored([(TENANT, "p")])[TENANT, "p"].awaits_picture


def test_a_deletion_ends_the_waiting(worker: Worker, refusing: ScriptedServer) -> None:
    product = live(worker)
    worker.push(moved(product, refusing.url("/new.jpg"), price=12))
    worker.bells.serve()
    worker.ledger.accept(TENANT, Lane.FAST, [Change.delete("p")])
    worker.bells.serve()
    assert worker.qdrant.get_product(TENANT, "p") is None


def test_a_worker_that_wrote_the_fields_and_died_is_followed_by_one_that_brings_the_picture(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = live(worker)
    worker.pictures.add("/new.jpg", picture((0, 0, 200)))
    worker.pictures.statuses["/new.jpg"] = 503
    job_id = worker.push(moved(product, worker.pictures.url + "/new.jpg", price=12))
    with monkeypatch.context() as patch:
        patch.setattr(worker.reconciler, "_report", lambda *_: None)
        worker.bells.serve()
    assert worker.stored("p").product.price == 12
    worker.pictures.statuses.clear()
    deadline = time.monotonic() + 60
    while worker.counts(job_id) != {Outcome.INDEXED: 1}:
        assert time.monotonic() < deadline
        worker.bells.serve()
        time.sleep(0.05)
    assert worker.stored("p").product.image_url == worker.pictures.url + "/new.jpg"


def test_a_write_that_did_not_know_of_fields_under_its_rev_is_decided_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker, whose lease was lost, writes the fields between the look and the write."""
    product = live(worker)
    worker.pictures.add("/new.jpg", picture((0, 0, 200)))
    job_id = worker.push(moved(product, worker.pictures.url + "/new.jpg", price=12))
    write = worker.qdrant.upsert_products

    def overtaken(points):  # type: ignore[no-untyped-def]
        monkeypatch.undo()
        (point,) = points
        fields = Decisions(RetryPolicy(2, 0.0)).while_reading(puts[0])
        assert fields is not None
        write([fields.point])
        assert point.rev == fields.point.rev
        return write(points)

    puts = []
    first_look = worker.reconciler._decisions.first_look

    def noted(*arguments):  # type: ignore[no-untyped-def]
        puts.append(first_look(*arguments))
        return puts[-1]

    monkeypatch.setattr(worker.reconciler._decisions, "first_look", noted)
    monkeypatch.setattr(worker.qdrant, "upsert_products", overtaken)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.stored("p").product.image_url == worker.pictures.url + "/new.jpg"


def test_a_waiting_item_says_what_for_and_until_when(
    worker: Worker, refusing: ScriptedServer
) -> None:
    product = live(worker)
    absent = worker.product("absent", image_url=refusing.url("/absent.jpg"))
    job_id = worker.push(moved(product, refusing.url("/new.jpg")), absent)
    worker.bells.serve()
    items, _ = worker.jobs.items(TENANT, worker.job(job_id), None, None, 10)
    for item in items:
        assert (item.outcome, item.code) == (Outcome.PENDING, "image_http_error")
        assert "429" in (item.message or "")
        assert item.next_try_at is not None
        assert item.next_try_at.timestamp() > time.time()


def test_a_new_picture_that_is_missing_is_looked_for_once_more(worker: Worker) -> None:
    job_id = worker.push(worker.product("late"))
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.pictures.add("/late.jpg", picture())
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}


def test_a_missing_picture_gets_one_later_look_however_many_tries_are_left(worker: Worker) -> None:
    policy = RetryPolicy(max_attempts=9, base_seconds=0.0, not_found_seconds=0.0)
    worker.reconciler._decisions = Decisions(policy)
    job_id = worker.push(worker.product("missing"))
    for _ in range(2):
        worker.bells.serve()
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert item is not None
    assert (item.code, item.attempts, item.retryable) == (ItemCode.IMAGE_NOT_FOUND, 2, False)


def test_a_known_picture_that_is_gone_is_not_looked_for_again(worker: Worker) -> None:
    product = live(worker)
    worker.pictures.statuses["/p.jpg"] = 404
    job_id = worker.push(product)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.stored("p").warnings == ("image_not_found",)


def test_a_refetch_embeds_a_picture_whose_bytes_are_the_same(worker: Worker) -> None:
    worker.pictures.serves_etags = True
    product = live(worker)
    change = replace(Change.put(product), refetch=True)
    job_id = worker.ledger.accept(TENANT, Lane.SINGLE, [change]).job_id
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.encoder.embedded == 2
    worker.push(product)
    worker.bells.serve()
    assert worker.encoder.embedded == 2


def test_a_release_for_another_reason_leaves_the_picture_its_time(
    worker: Worker, refusing: ScriptedServer
) -> None:
    """As where Qdrant was away in the pass that wrote a patch's fields."""
    product = live(worker)
    worker.push(moved(product, refusing.url("/new.jpg"), price=12))
    worker.bells.serve()
    worker.patch("p", price=13)
    claim = worker.ledger.claim(list(Lane), 1)
    worker.ledger.report(claim, [released(wanted, 0.0) for wanted in claim.wanted])
    (wanted,) = worker.ledger.claim(list(Lane), 1).wanted
    assert wanted.picture_wait > LATER / 2


def test_nothing_is_said_to_be_waited_for_once_the_picture_is_there(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = live(worker)
    worker.pictures.add("/new.jpg", picture((0, 0, 200)))
    worker.pictures.statuses["/new.jpg"] = 503
    worker.push(moved(product, worker.pictures.url + "/new.jpg", price=12))
    worker.bells.serve()
    worker.pictures.statuses.clear()
    write = worker.qdrant.upsert_products

    def patched_meanwhile(points):  # type: ignore[no-untyped-def]
        worker.patch("p", price=13)
        return write(points)

    with monkeypatch.context() as patch:
        patch.setattr(worker.qdrant, "upsert_products", patched_meanwhile)
        worker.bells.serve()
    status = worker.ledger.product_status(TENANT, "p")
    assert status is not None
    assert (status.pending, status.waiting) == (True, None)


def test_a_blank_picture_has_landed_whole_so_its_version_is_not_taken_again(
    worker: Worker,
) -> None:
    product = worker.product("p", picture(), version=7)
    worker.push(product)
    claim = worker.ledger.claim(list(Lane), 1)
    (wanted,) = claim.wanted
    report = landed(wanted, Outcome.INDEXED, BLANK)
    worker.ledger.report(claim, [report])
    assert worker.counts(worker.push(product)) == {Outcome.STALE: 1}
