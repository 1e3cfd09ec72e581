"""The shapes of successful answers, field for field as the contract has them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NotRequired

from flask import Response
from pydantic_core import to_json
from typing_extensions import TypedDict

from api.requests.batch import Rejected
from shared.models.change import Outcome
from shared.models.job import Job, JobItem, JobState, ProductStatus
from shared.models.product import StoredProduct
from shared.models.search import SearchAnswer

PREFIX: Final = "/api/v1"


class QueuedAnswer(TypedDict):
    """A change accepted; what becomes of it stands under `status_url`."""

    status: Literal["queued"]
    product_id: str
    job_id: str
    status_url: str


class BatchQueuedAnswer(TypedDict):
    """A batch accepted, and the items left out of it."""

    status: Literal["queued"]
    job_id: str
    status_url: str
    accepted: int
    rejected: list[Rejected]


class RetryQueuedAnswer(TypedDict):
    """Failures wanted again; `accepted` is how many of them there are."""

    status: Literal["queued"]
    job_id: str
    status_url: str
    accepted: int


class LandedAnswer(TypedDict):
    """A product whose change has ended while the caller waited.

    `warnings` is there if it ended with one: the code of a new picture that can't be used,
    `image_blank` of one that shows one colour all over, or `attribute_type_mismatch` if a value is
    of another type than ATTRIBUTE_INDEXES lists.
    """

    status: Literal["success"]
    product_id: str
    job_id: str
    outcome: Outcome
    warnings: NotRequired[list[str]]


class CountsAnswer(TypedDict):
    """Items by outcome; all but `received` add up to it."""

    received: int
    indexed: int
    unchanged: int
    deleted: int
    stale: int
    superseded: int
    failed: int
    pending: int


class JobAnswer(TypedDict):
    """A job as it stands. `progress` is the share of items that have ended, 0 to 1.

    `with_warnings` counts items that have landed with a code: with their earlier picture, because
    the new one is bad; with a picture that shows nothing; or with an attribute of another type than
    ATTRIBUTE_INDEXES lists. They are among the counts already.
    """

    job_id: str
    state: JobState
    progress: float
    counts: CountsAnswer
    with_warnings: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobsAnswer(TypedDict):
    """A page of jobs, newest first."""

    jobs: list[JobAnswer]
    next_cursor: str | None


class JobItemAnswer(TypedDict):
    """One item of a job. `attempts` counts the tries that failed.

    `code` and `message` say why it failed; why its new picture could not be used, if it is
    `indexed` with its earlier one; or, while it is pending, what it waits for. `next_try_at` tells
    until when it waits.
    """

    position: int
    product_id: str
    outcome: Outcome
    code: str | None
    message: str | None
    retryable: bool
    attempts: int
    next_try_at: datetime | None


class JobItemsAnswer(TypedDict):
    """A page of a job's items."""

    items: list[JobItemAnswer]
    next_cursor: str | None


class LastError(TypedDict):
    """Why the last change of a product did not land."""

    code: str
    message: str


class WaitingAnswer(TypedDict):
    """What a pending change waits for: its last attempt's fault, and the time of the next one."""

    code: str
    message: str
    attempts: int
    next_try_at: datetime


class ProductAnswer(TypedDict):
    """A product as indexed. `pending` tells that a newer change waits, null that nobody knows.

    If the change waits for its picture's server, `waiting` says so: the fields are those of the
    change already, `image_url` and the vector are still those of before.
    """

    id: str
    name: str
    image_url: str
    description: str | None
    category: str | None
    price: float | None
    attributes: dict[str, Any]
    created_at: datetime
    version: int | None
    group_id: str | None
    rev: int
    indexed_at: str
    warnings: list[str]
    pending: bool | None
    last_error: LastError | None
    waiting: WaitingAnswer | None
    embedding: NotRequired[list[float]]


class ListedProduct(TypedDict):
    """A product in a listing: without what only the ledger knows."""

    id: str
    name: str
    image_url: str
    description: str | None
    category: str | None
    price: float | None
    attributes: dict[str, Any]
    created_at: datetime
    version: int | None
    group_id: str | None
    rev: int
    indexed_at: str
    warnings: list[str]


class ProductsAnswer(TypedDict):
    """A page of products."""

    products: list[ListedProduct]
    next_cursor: str | None


class ResultAnswer(TypedDict):
    """One result; `similarity_score` is the plain cosine."""

    product_id: str
    name: str
    description: str | None
    price: float | None
    category: str | None
    image_url: str
    attributes: dict[str, Any]
    similarity_score: float


class SearchResultsAnswer(TypedDict):
    """Results in falling order of similarity; `total_results` is how many there are here.

    `cached` tells that at least their ranking came from the cache; their fields may be read anew.
    """

    query_type: Literal["text", "image", "product", "mixed"]
    top_k: int
    total_results: int
    results: list[ResultAnswer]
    execution_time_ms: float
    cached: bool


def json_response(
    value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The value as a JSON response."""
    return Response(
        to_json(value), status, headers=dict(headers or {}), content_type="application/json"
    )


def status_url(job_id: str) -> str:
    """Where a job's state is read."""
    return f"{PREFIX}/jobs/{job_id}"


def accepted_response(answer: QueuedAnswer | BatchQueuedAnswer | RetryQueuedAnswer) -> Response:
    """202 with the job's place."""
    return json_response(answer, 202, {"Location": answer["status_url"]})


def queued(product_id: str, job_id: str) -> Response:
    """202 for one product."""
    answer = QueuedAnswer(
        status="queued", product_id=product_id, job_id=job_id, status_url=status_url(job_id)
    )
    return accepted_response(answer)


def job_answer(job: Job) -> JobAnswer:
    """The job in the contract's words."""
    counts = CountsAnswer(
        received=job.received,
        indexed=job.counts[Outcome.INDEXED],
        unchanged=job.counts[Outcome.UNCHANGED],
        deleted=job.counts[Outcome.DELETED],
        stale=job.counts[Outcome.STALE],
        superseded=job.counts[Outcome.SUPERSEDED],
        failed=job.counts[Outcome.FAILED],
        pending=job.counts[Outcome.PENDING],
    )
    return JobAnswer(
        job_id=job.job_id,
        state=job.state,
        progress=round(job.progress, 4),
        counts=counts,
        with_warnings=job.with_warnings,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def item_answer(item: JobItem) -> JobItemAnswer:
    """One item in the contract's words."""
    return JobItemAnswer(
        position=item.position,
        product_id=item.product_id,
        outcome=item.outcome,
        code=item.code,
        message=item.message,
        retryable=item.retryable,
        attempts=item.attempts,
        next_try_at=item.next_try_at,
    )


def product_answer(
    stored: StoredProduct, status: ProductStatus | None, *, ledger_known: bool
) -> dict[str, Any]:
    """The product with what the ledger adds; `ledger_known` is false while the ledger is down."""
    answer = listed_product(stored)
    answer["pending"] = (status is not None and status.pending) if ledger_known else None
    answer["last_error"] = status.last_error if status else None
    answer["waiting"] = waiting_answer(status)
    if stored.embedding is not None:
        answer["embedding"] = list(stored.embedding)
    return answer


def waiting_answer(status: ProductStatus | None) -> WaitingAnswer | None:
    """What the product's pending change waits for, if it waits."""
    if status is None or status.waiting is None:
        return None
    waiting = status.waiting
    return WaitingAnswer(
        code=waiting.code,
        message=waiting.message,
        attempts=waiting.attempts,
        next_try_at=waiting.next_try_at,
    )


def listed_product(stored: StoredProduct) -> dict[str, Any]:
    """The product's own fields and the index's."""
    return {
        **stored.product.model_dump(),
        "rev": stored.rev,
        "indexed_at": stored.indexed_at,
        "warnings": list(stored.warnings),
    }


def search_answer(answer: SearchAnswer) -> dict[str, Any]:
    """The answer in the contract's words, times to a hundredth of a millisecond."""
    results: Sequence[Mapping[str, object]] = answer.results
    return {
        "query_type": answer.query_type,
        "top_k": answer.top_k,
        "total_results": len(results),
        "results": results,
        "execution_time_ms": round(answer.execution_time_ms, 2),
        "cached": answer.cached,
    }
