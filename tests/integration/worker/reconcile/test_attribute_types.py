"""Products whose values are of another type than their attribute is listed with."""

import time

import pytest

from shared.models.change import Outcome
from shared.models.search.filters import Filters
from tests.integration.worker.conftest import LEASE_SECONDS, TENANT, Worker
from tests.pictures import blank_picture, picture

MISMATCH = "attribute_type_mismatch"
OF_PICTURES = (["image_blank"], ["image_not_found", "image_blank"])


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"in_stock": "yes"}, "in_stock"),
        ({"in_stock": 1}, "in_stock"),
        ({"rating": "5"}, "rating"),
        ({"rating": True}, "rating"),
        ({"color": 3}, "color"),
    ],
)
def test_a_value_of_another_type_is_indexed_with_a_warning(
    worker: Worker, attributes: dict[str, object], named: str
) -> None:
    job_id = worker.push(worker.product("p", picture(), attributes=attributes))
    worker.bells.serve()
    item = worker.jobs.item(TENANT, worker.job(job_id))
    assert item is not None
    assert (item.outcome, item.code, item.retryable) == (Outcome.INDEXED, MISMATCH, False)
    assert item.message is not None
    assert named in item.message
    assert worker.job(job_id).with_warnings == 1
    vector = worker.stored("p").embedding
    assert vector is not None
    found = worker.qdrant.search(
        TENANT, vector, Filters.model_validate({"attributes": attributes}), 1
    )
    assert [hit.product_id for hit in found] == ["p"]


def test_the_warning_lasts_until_the_value_is_right(worker: Worker) -> None:
    worker.push(worker.product("p", picture(), attributes={"in_stock": "yes"}))
    worker.bells.serve()
    still = worker.patch("p", price=5)
    worker.bells.serve()
    mended = worker.patch("p", attributes={"in_stock": True})
    worker.bells.serve()
    codes = [worker.jobs.item(TENANT, worker.job(job)).code for job in (still, mended)]  # type: ignore[union-attr]
    assert codes == [MISMATCH, None]


def test_values_of_their_types_and_attributes_that_are_not_listed_are_fine(worker: Worker) -> None:
    attributes = {"in_stock": True, "rating": 5, "color": ["red"], "other": 1}
    job_id = worker.push(worker.product("p", picture(), attributes=attributes))
    worker.bells.serve()
    assert worker.job(job_id).with_warnings == 0


@pytest.mark.parametrize("report_is_lost", [False, True])
def test_all_warnings_of_a_product_are_told(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, report_is_lost: bool
) -> None:
    product = worker.product("p", blank_picture(), attributes={"rating": "5", "color": 3})
    jobs = [worker.push(product)]
    worker.bells.serve()
    worker.pictures.statuses["/p.jpg"] = 410
    jobs.append(worker.push(product))
    if report_is_lost:
        with monkeypatch.context() as patch:
            patch.setattr(worker.ledger, "report", lambda *_: [])
            worker.bells.serve()
        time.sleep(LEASE_SECONDS + 0.1)
    worker.bells.serve()
    for job_id, of_picture in zip(jobs, OF_PICTURES, strict=True):
        item = worker.jobs.item(TENANT, worker.job(job_id))
        assert item is not None
        assert item.outcome is Outcome.INDEXED
        assert list(item.warnings) == [*of_picture, MISMATCH]
        assert (item.code, item.retryable) == (of_picture[0], False)
        assert item.message is not None
        assert all(word in item.message for word in ("one colour", "rating", "color"))
    assert worker.job(jobs[1]).with_warnings == 1
