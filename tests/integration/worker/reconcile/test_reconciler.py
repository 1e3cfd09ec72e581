"""What a worker makes of its claims, whatever the pictures, Qdrant and its own death do."""

import threading
import time

import pytest
import redis

from shared.errors import QdrantRejected, QdrantUnavailable
from shared.ledger import Generations
from shared.models.change import Aspect, Change, Lane, Outcome
from shared.models.product import ImageFacts
from shared.models.search.filters import Filters
from shared.qdrant.points import LivePoint, PointWrite, ProductKey
from shared.qdrant.vectors import VectorSet
from tests.integration.worker.conftest import LEASE_SECONDS, TENANT, Worker
from tests.pictures import picture


def test_a_batch_of_good_and_bad_pictures_ends_item_by_item(worker: Worker) -> None:
    good = [worker.product(f"good{i}", picture((i, 0, 0))) for i in range(5)]
    missing = worker.product("missing")
    html = worker.product("html", b"<html>")
    job_id = worker.push(*good, missing, html)
    worker.bells.serve()
    worker.bells.serve()  # a new picture that is missing is looked for once more
    assert worker.counts(job_id) == {Outcome.INDEXED: 5, Outcome.FAILED: 2}
    assert worker.encoder.embedded == 5
    failed, _ = worker.jobs.items(TENANT, worker.job(job_id), Outcome.FAILED, None, 10)
    assert {item.product_id: item.code for item in failed} == {
        "missing": "image_not_found",
        "html": "not_an_image",
    }
    stored = worker.qdrant.get_product(TENANT, "good0")
    assert stored is not None
    assert stored.product.name == "Good0"
    assert worker.qdrant.get_product(TENANT, "html") is None


def test_a_full_claim_passes_the_bell_on(worker: Worker) -> None:
    shared = picture()
    worker.push(*(worker.product(f"p{i}", shared) for i in range(70)))
    worker.bells.serve()
    assert len(worker.bell.rings) == 1
    worker.bells.serve()
    assert len(worker.bell.rings) == 1
    worker.bells.serve()
    assert worker.encoder.embedded == 70


def test_one_bell_is_answered_until_nothing_is_due_and_calls_others_once(worker: Worker) -> None:
    shared = picture()
    job_id = worker.push(*(worker.product(f"p{i}", shared) for i in range(150)))
    worker.bells.serve_all()
    assert worker.counts(job_id) == {Outcome.INDEXED: 150}
    assert worker.bell.rings == [Lane.BULK]


def test_a_deleted_product_is_gone_and_stays_gone_for_late_writes(worker: Worker) -> None:
    worker.push(worker.product("p", picture()))
    worker.bells.serve()
    worker.push(worker.product("p", picture((5, 5, 5))))
    (late,) = worker.ledger.claim([Lane.BULK], 1).wanted
    job_id = worker.ledger.accept(TENANT, Lane.FAST, [Change.delete("p")]).job_id
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.DELETED: 1}
    (vector,) = worker.encoder.embed_images([worker.encoder.prepare(picture())])
    vectors = VectorSet.of_image(vector)  # type: ignore[arg-type]
    write = LivePoint(
        TENANT, worker.product("p"), late.rev, vectors, ImageFacts("0" * 64), "2026-01-01T00:00:00"
    )
    assert worker.qdrant.upsert_product(write) > late.rev
    assert worker.qdrant.get_product(TENANT, "p") is None
    assert worker.qdrant.list_products(TENANT, 10) == ([], None)


def test_deleting_what_never_was_ends_deleted(worker: Worker) -> None:
    job_id = worker.ledger.accept(TENANT, Lane.FAST, [Change.delete("nobody")]).job_id
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.DELETED: 1}


def test_a_failing_picture_server_is_tried_again_and_then_reported(worker: Worker) -> None:
    product = worker.product("p", b"")
    worker.pictures.statuses["/p.jpg"] = 503
    job_id = worker.push(product)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.FAILED: 1}
    (item,), _ = worker.jobs.items(TENANT, worker.job(job_id), Outcome.FAILED, None, 10)
    assert (item.code, item.attempts, item.retryable) == ("image_http_error", 2, True)


def test_what_failed_with_its_picture_server_lands_by_a_retry(worker: Worker) -> None:
    product, fine = worker.product("p", picture()), worker.product("fine", picture((1, 2, 3)))
    worker.pictures.statuses["/p.jpg"] = 503
    job_id = worker.push(product, fine)
    worker.bells.serve()
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1, Outcome.FAILED: 1}
    worker.pictures.statuses.clear()
    retried = worker.ledger.retry(TENANT, job_id, ["p"])
    worker.bells.serve()
    assert worker.counts(retried.job_id) == {Outcome.INDEXED: 1}
    stored = worker.qdrant.get_product(TENANT, "p")
    assert stored is not None
    assert stored.product.name == "P"


def test_a_picture_server_that_recovers_is_forgiven(worker: Worker) -> None:
    product = worker.product("p", picture())
    worker.pictures.statuses["/p.jpg"] = 503
    job_id = worker.push(product)
    worker.bells.serve()
    worker.pictures.statuses.clear()
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}


def test_a_slow_picture_holds_up_only_itself(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.pictures.reader.STRAGGLER_SECONDS", 0.2)
    slow, quick = worker.product("slow", picture()), worker.product("quick", picture((1, 2, 3)))
    released = worker.pictures.delays["/slow.jpg"] = threading.Event()
    job_id = worker.push(slow, quick)
    task = threading.Thread(target=worker.bells.serve)
    task.start()
    deadline = time.monotonic() + 60
    half_done = {Outcome.INDEXED: 1, Outcome.PENDING: 1}
    while worker.counts(job_id) != half_done and time.monotonic() < deadline:
        time.sleep(0.05)
    assert worker.counts(job_id) == half_done
    # Longer than a lease: the keeper must renew it.
    time.sleep(LEASE_SECONDS * 1.5)
    assert not worker.ledger.claim([Lane.BULK], 1).wanted
    released.set()
    task.join(60)
    assert worker.counts(job_id) == {Outcome.INDEXED: 2}


def test_a_fault_of_our_own_in_one_picture_fails_alone(worker: Worker) -> None:
    cursed = picture((9, 9, 9))
    worker.encoder.refused.add(cursed)
    job_id = worker.push(worker.product("cursed", cursed), worker.product("fine", picture()))
    worker.bells.serve()
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1, Outcome.FAILED: 1}


def test_a_write_that_was_never_reported_is_found_and_not_embedded_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = worker.push(worker.product("p", picture()))

    die_before_the_report(worker, monkeypatch)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.encoder.embedded == 1


def die_before_the_report(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker writes what is due and dies; its lease runs out."""

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(worker.ledger, "report", die)
        with pytest.raises(Died):
            worker.bells.serve()
    time.sleep(LEASE_SECONDS + 0.1)


def test_a_write_that_is_found_done_still_makes_cached_answers_unreachable(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, client: redis.Redis
) -> None:
    """What it changed is not known any more, so all that answers depend on counts as changed."""
    generations = Generations(client)
    worker.push(worker.product("p", picture(), price=1))
    worker.bells.serve()
    before = generations.current(TENANT)
    worker.push(worker.product("p", price=2))
    die_before_the_report(worker, monkeypatch)
    assert generations.current(TENANT) == before
    worker.bells.serve()
    after = generations.current(TENANT)
    assert before is not None
    assert after is not None
    assert all(before[aspect] != after[aspect] for aspect in Aspect)


def test_a_deletion_that_is_found_done_still_makes_cached_answers_unreachable(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, client: redis.Redis
) -> None:
    generations = Generations(client)
    worker.push(worker.product("p", picture()))
    worker.bells.serve()
    before = generations.current(TENANT)
    worker.ledger.accept(TENANT, Lane.FAST, [Change.delete("p")])
    die_before_the_report(worker, monkeypatch)
    assert generations.current(TENANT) == before
    worker.bells.serve()
    after = generations.current(TENANT)
    assert before is not None
    assert after is not None
    assert before[Aspect.MEMBERSHIP] != after[Aspect.MEMBERSHIP]


def test_a_write_that_the_index_lost_is_not_called_indexed(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = worker.push(worker.product("p", picture()))
    with monkeypatch.context() as patch:
        # Acknowledged, and not to be found when it is read back.
        patch.setattr(worker.qdrant, "upsert_products", lambda _: {})
        worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    assert worker.stored("p").product.name == "P"


def test_a_product_that_kills_its_workers_ends_as_failed(
    worker: Worker, client: redis.Redis
) -> None:
    job_id = worker.push(worker.product("poison", picture()), worker.product("b", picture()))
    kill_workers(worker, client, "poison", 3)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.FAILED: 1, Outcome.INDEXED: 1}
    assert worker.stored("b").product.name == "B"


def kill_workers(worker: Worker, client: redis.Redis, product_id: str, times: int) -> None:
    """Workers that die of the product, the first among others; all leases run out at once."""
    for _ in range(times):
        claim = worker.ledger.claim([Lane.BULK], 64)
        for wanted in claim.wanted:
            if wanted.suspect and wanted.product_id == product_id:
                assert worker.ledger.stand_alone(claim, wanted)
            client.zadd(f"vitrine:due:{Lane.BULK}:{TENANT}", {wanted.product_id: 0})


def test_a_live_product_whose_new_picture_kills_workers_keeps_its_vector_and_says_so(
    worker: Worker, client: redis.Redis
) -> None:
    product = worker.product("p", picture(), price=1, version=1)
    worker.push(product)
    worker.bells.serve()
    before, asked = worker.stored("p"), len(worker.pictures.requests)
    poison = product.model_copy(
        update={
            "image_url": worker.pictures.add("/poison.jpg", picture((9, 9, 9))),
            "price": 2,
            "version": 2,
        }
    )
    job_id = worker.push(poison)
    kill_workers(worker, client, "p", 3)  # among others, then alone as often as it may be tried
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert (item.code, item.retryable) == ("internal_error", False)
    assert "died" in (item.message or "")
    after = worker.stored("p")
    assert (after.product.price, after.product.version) == (2, 2)
    assert after.warnings == ("internal_error",)
    assert after.embedding == before.embedding
    # What kills was neither fetched nor decoded again, and another picture mends it.
    assert (len(worker.pictures.requests), worker.encoder.embedded) == (asked, 1)
    mended = worker.push(poison.model_copy(update={"image_url": product.image_url}))
    worker.bells.serve()
    assert worker.counts(mended) == {Outcome.INDEXED: 1}
    assert worker.stored("p").warnings == ()


def test_a_product_that_kills_workers_also_beside_its_old_vector_ends_as_failed(
    worker: Worker, client: redis.Redis
) -> None:
    product = worker.product("p", picture())
    worker.push(product)
    worker.bells.serve()
    job_id = worker.push(product)
    kill_workers(worker, client, "p", 4)
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.FAILED: 1}


def test_an_outage_of_qdrant_counts_against_no_product(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.reconcile.reconciler.PAUSE_SECONDS", 0.0)

    def down(_: object) -> None:
        raise QdrantUnavailable("down")

    job_id = worker.push(worker.product("p", picture()))
    with monkeypatch.context() as patch:
        patch.setattr(worker.qdrant, "upsert_products", down)
        for _ in range(2):
            worker.bells.serve()
            worker.bells._pause._open_until = 0.0
    assert worker.counts(job_id) == {Outcome.PENDING: 1}
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 1}


def test_after_an_outage_the_worker_leaves_its_lanes_alone_for_a_while(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, client: redis.Redis
) -> None:
    def down(_: object) -> None:
        raise QdrantUnavailable("down")

    monkeypatch.setattr(worker.qdrant, "stored_revs", down)
    worker.push(worker.product("p", picture()))
    worker.bells.serve()
    worker.push(worker.product("q", picture()))
    worker.bells.serve()
    assert client.hget(f"vitrine:wanted:{TENANT}:q", "lease") is None


def test_a_point_that_qdrant_refuses_fails_alone(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = worker.qdrant.upsert_products

    def picky(points: list[PointWrite]) -> dict[ProductKey, int]:
        if any(point.key == (TENANT, "p3") for point in points):
            raise QdrantRejected("not this one")
        return dict(write(points))

    monkeypatch.setattr(worker.qdrant, "upsert_products", picky)
    job_id = worker.push(*(worker.product(f"p{i}", picture((i, i, i))) for i in range(8)))
    worker.bells.serve()
    worker.bells.serve()
    assert worker.counts(job_id) == {Outcome.INDEXED: 7, Outcome.FAILED: 1}


def test_of_two_workers_on_one_product_the_newer_change_wins(worker: Worker) -> None:
    """The older one writes last, as after a long pause, and must not win."""
    worker.push(worker.product("p", picture((1, 1, 1))))
    released = worker.pictures.delays["/p.jpg"] = threading.Event()
    old = threading.Thread(target=worker.bells.serve)
    old.start()
    while not worker.pictures.requests:
        time.sleep(0.01)
    newer = worker.product("other", picture((2, 2, 2))).model_copy(
        update={"id": "p", "name": "Newer"}
    )
    second = worker.push(newer)
    worker.bells.serve()
    released.set()
    old.join(60)
    stored = worker.qdrant.get_product(TENANT, "p")
    assert stored is not None
    assert stored.product.name == "Newer"
    assert worker.counts(second) == {Outcome.INDEXED: 1}


def test_an_indexed_product_is_found_by_its_own_vector(worker: Worker) -> None:
    data = picture((7, 7, 7))
    worker.push(worker.product("p", data), worker.product("q", picture((8, 8, 8))))
    worker.bells.serve()
    (vector,) = worker.encoder.embed_images([worker.encoder.prepare(data)])
    hits = worker.qdrant.search(TENANT, vector, Filters(), 2)  # type: ignore[arg-type]
    assert hits[0].product_id == "p"
    assert hits[0].similarity_score == pytest.approx(1.0, abs=1e-5)
