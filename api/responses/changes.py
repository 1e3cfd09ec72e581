"""Answers to changes: that they are kept, or how they ended."""

from typing import Literal, NotRequired

from flask import Response
from pydantic import with_config
from typing_extensions import TypedDict

from api.requests.batch import Rejected
from api.responses.answers import PREFIX, json_response
from api.responses.products import WaitingAnswer
from shared.models.change import Outcome


@with_config(use_attribute_docstrings=True)
class QueuedAnswer(TypedDict):
    """A change that is kept and not made yet."""

    status: Literal["queued"]
    """Always `queued`."""
    product_id: str
    """The product."""
    job_id: str
    """The job that makes the change."""
    status_url: str
    """The path of the job."""
    waiting: NotRequired[WaitingAnswer]
    """With `?wait`: what the change waits for, if it has been tried. If the product is in the index
    already, its fields are those of the change by then, and only the picture waits."""


@with_config(use_attribute_docstrings=True)
class BatchQueuedAnswer(TypedDict):
    """A batch that is kept, and the items left out of it."""

    status: Literal["queued"]
    """Always `queued`."""
    job_id: str
    """The job that makes the changes."""
    status_url: str
    """The path of the job."""
    accepted: int
    """Items that were taken."""
    rejected: list[Rejected]
    """Items that can't be taken, each with its faults."""


@with_config(use_attribute_docstrings=True)
class RetryQueuedAnswer(TypedDict):
    """Failed items that are wanted again."""

    status: Literal["queued"]
    """Always `queued`."""
    job_id: str
    """The new job."""
    status_url: str
    """The path of the new job."""
    accepted: int
    """Items of the new job. Those whose product got a newer change since are left out."""


@with_config(use_attribute_docstrings=True)
class LandedAnswer(TypedDict):
    """A change that has ended while the caller waited."""

    status: Literal["success"]
    """Always `success`."""
    product_id: str
    """The product."""
    job_id: str
    """The job that made the change."""
    outcome: Outcome
    """How the change ended: `indexed`, `unchanged`, `deleted`, or left out as `stale` (its version
    is not newer) or `superseded` (a newer change came)."""
    warnings: NotRequired[list[str]]
    """Codes of what is wrong with a product that is in the index all the same: that of a new
    picture that can't be used, so that the earlier one stays; `image_blank` of a picture of one
    colour; `attribute_type_mismatch` of a value of another type than ATTRIBUTE_INDEXES lists;
    `gtin_check_digit` of a `gtin` whose last digit does not fit the others."""


def status_url(job_id: str) -> str:
    """The path of the job."""
    return f"{PREFIX}/jobs/{job_id}"


def accepted_response(answer: QueuedAnswer | BatchQueuedAnswer | RetryQueuedAnswer) -> Response:
    """202 with the job's path."""
    return json_response(answer, 202, {"Location": answer["status_url"]})
