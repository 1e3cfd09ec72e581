"""Products whose values are of another type than their attribute is listed with."""

import pytest

from shared.models.change import Outcome
from shared.models.search import Filters
from tests.integration.worker.conftest import TENANT, Worker
from tests.pictures import picture

MISMATCH = "attribute_type_mismatch"


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
    worker.bells.answer()
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
    worker.bells.answer()
    still = worker.patch("p", price=5)
    worker.bells.answer()
    mended = worker.patch("p", attributes={"in_stock": True})
    worker.bells.answer()
    codes = [worker.jobs.item(TENANT, worker.job(job)).code for job in (still, mended)]  # type: ignore[union-attr]
    assert codes == [MISMATCH, None]


def test_values_of_their_types_and_attributes_that_are_not_listed_are_fine(worker: Worker) -> None:
    attributes = {"in_stock": True, "rating": 5, "color": ["red"], "other": 1}
    job_id = worker.push(worker.product("p", picture(), attributes=attributes))
    worker.bells.answer()
    assert worker.job(job_id).with_warnings == 0
