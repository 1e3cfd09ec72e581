"""Answers about jobs and their items."""

from datetime import datetime
from typing import NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from shared.models.change import Outcome
from shared.models.job import Job, JobItem, JobState


@with_config(use_attribute_docstrings=True)
class CountsAnswer(TypedDict):
    """Items by outcome; all but `received` add up to it."""

    received: int
    """All items of the job."""
    indexed: int
    """Items whose change is in the index."""
    unchanged: int
    """Items that changed nothing."""
    deleted: int
    """Items whose product is deleted."""
    stale: int
    """Items whose version is not above the last accepted one."""
    superseded: int
    """Items whose product got a newer change before they were done."""
    failed: int
    """Items that could not be done."""
    pending: int
    """Items that are not done yet."""


@with_config(use_attribute_docstrings=True)
class JobAnswer(TypedDict):
    """A job as it stands."""

    job_id: str
    """The job's id."""
    state: JobState
    """`queued` until the first item is taken, `running` until the last one has ended; then
    `succeeded`, `partially_failed` or `failed` (all items)."""
    progress: float
    """The share of items that have ended, 0 to 1."""
    counts: CountsAnswer
    """Items by outcome."""
    with_warnings: int
    """Items that are in the index with a warning: with their earlier picture, because the new one
    can't be used; with a picture of one colour; or with an attribute of another type than
    ATTRIBUTE_INDEXES lists. They are among the counts already."""
    created_at: datetime
    """When the changes were accepted."""
    started_at: datetime | None
    """When a worker took the first item."""
    finished_at: datetime | None
    """When the last item ended."""


@with_config(use_attribute_docstrings=True)
class JobsAnswer(TypedDict):
    """A page of jobs, newest first."""

    jobs: list[JobAnswer]
    """The jobs."""
    next_cursor: str | None
    """`cursor` of the next page; null if this is the last one."""


@with_config(use_attribute_docstrings=True)
class JobItemAnswer(TypedDict):
    """One item of a job."""

    position: int
    """The item's place in the request, from 0."""
    product_id: str
    """The product."""
    outcome: Outcome
    """How the item ended, or `pending`."""
    code: str | None
    """Why the item failed; the first of `warnings`, if it is `indexed` with some; or, while it is
    pending, why its last attempt failed."""
    message: str | None
    """The same in a sentence for people, with what to do."""
    retryable: bool
    """Whether `POST /jobs/{job_id}/retry` takes the item: it has failed, of what may pass."""
    attempts: int
    """Attempts that have failed."""
    next_try_at: datetime | None
    """When a pending item is tried again, if an attempt has failed."""
    warnings: NotRequired[list[str]]
    """Of an item that is in the index with warnings: the codes of all of them."""


@with_config(use_attribute_docstrings=True)
class JobItemsAnswer(TypedDict):
    """A page of a job's items."""

    items: list[JobItemAnswer]
    """The items, by position."""
    next_cursor: str | None
    """`cursor` of the next page; null if this is the last one."""


def job_answer(job: Job) -> JobAnswer:
    """The job in the contract's words."""
    return JobAnswer(
        job_id=job.job_id,
        state=job.state,
        progress=round(job.progress, 4),
        counts=CountsAnswer(
            received=job.received,
            indexed=job.counts[Outcome.INDEXED],
            unchanged=job.counts[Outcome.UNCHANGED],
            deleted=job.counts[Outcome.DELETED],
            stale=job.counts[Outcome.STALE],
            superseded=job.counts[Outcome.SUPERSEDED],
            failed=job.counts[Outcome.FAILED],
            pending=job.counts[Outcome.PENDING],
        ),
        with_warnings=job.with_warnings,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def item_answer(item: JobItem) -> JobItemAnswer:
    """One item in the contract's words."""
    answer = JobItemAnswer(
        position=item.position,
        product_id=item.product_id,
        outcome=item.outcome,
        code=item.code,
        message=item.message,
        retryable=item.retryable,
        attempts=item.attempts,
        next_try_at=item.next_try_at,
    )
    if item.warnings:
        answer["warnings"] = list(item.warnings)
    return answer
