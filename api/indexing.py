"""`POST /index-product` and `POST /index-products`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from flask import Blueprint, Response, g, request

from api.answers import (
    BatchQueuedAnswer,
    LandedAnswer,
    accepted_response,
    json_response,
    queued,
    status_url,
)
from api.batch import read_batch, read_product
from api.bodies import (
    JSON,
    MAX_BATCH_BYTES,
    MAX_PRODUCT_BYTES,
    NDJSON,
    content_type,
    parse_json,
    read_body,
)
from api.intake import Intake
from api.parameters import NoParameters, WaitParameters, read_parameters
from api.problems import Problem, invalid
from api.validation import Invalid
from api.waiting import WaitingRoom
from shared.errors import TransientError
from shared.ledger import Jobs
from shared.models.change import Change, Lane, Outcome
from shared.models.job import Job, JobItem
from shared.models.product import Product

_LARGE_BATCH_BYTES: Final = 2**20

_TURN_SECONDS: Final = 30.0
"""For others' large batches to be taken: a second or two each."""


class Indexing:
    """Products coming in."""

    def __init__(
        self, intake: Intake, jobs: Jobs, waiting: WaitingRoom, batches: WaitingRoom
    ) -> None:
        """`waiting`, `batches`: places for those who wait for a job, and with a large batch."""
        self._intake = intake
        self._jobs = jobs
        self._waiting = waiting
        self._batches = batches
        self._large_batch = threading.Lock()

    def blueprint(self) -> Blueprint:
        """The routes."""
        blueprint = Blueprint("indexing", __name__)
        blueprint.post("/index-product")(self.index_product)
        blueprint.post("/index-products")(self.index_products)
        return blueprint

    def index_product(self) -> Response:
        """One product, in the lane that is served first."""
        wait = read_parameters(WaitParameters, request).wait
        content_type(request, JSON)
        body = read_body(request, MAX_PRODUCT_BYTES)
        product = _product(parse_json(body))
        job_id = self._intake.accept(request, Lane.SINGLE, [Change.put(product)], body)
        landed = self._landed(job_id, wait) if wait else None
        return landed or queued(product.id, job_id)

    def index_products(self) -> Response:
        """Up to 10,000 products; the good ones go in whatever the others are."""
        read_parameters(NoParameters, request)
        media_type = content_type(request, JSON, NDJSON)
        body = read_body(request, MAX_BATCH_BYTES)
        with self._turn(len(body)):
            batch = read_batch(body, media_type)
        if not batch.changes:
            raise Problem(
                422,
                "nothing_accepted",
                "none of the products can be taken; see what is wrong with each",
                {"accepted": 0, "rejected": batch.rejected},
            )
        job_id = self._intake.accept(request, Lane.BULK, batch.changes, body)
        answer = BatchQueuedAnswer(
            status="queued",
            job_id=job_id,
            status_url=status_url(job_id),
            accepted=len(batch.changes),
            rejected=batch.rejected,
        )
        return accepted_response(answer)

    @contextmanager
    def _turn(self, size: int) -> Iterator[None]:
        """Large batches, by their unpacked bytes, are read one after the other: read, one may be
        ten times as large. Nothing is lost by it, for reading JSON holds the interpreter anyway.

        Raises a 503 problem where too many wait already, or the turn does not come in time.
        """
        if size <= _LARGE_BATCH_BYTES:
            yield
            return
        with self._batches.place() as allowed:
            if not (allowed and self._large_batch.acquire(timeout=_TURN_SECONDS)):
                raise Problem(
                    503,
                    "busy",
                    "too many large batches at once",
                    headers={"Retry-After": "1"},
                )
            try:
                yield
            finally:
                self._large_batch.release()

    def _landed(self, job_id: str, seconds: float) -> Response | None:
        """The end of a job of one; None where it can't be told within the time."""
        with self._waiting.place() as allowed:
            if not allowed:
                return None
            try:
                job = self._jobs.wait(g.tenant, job_id, seconds)
                if job is None or not job.finished:
                    return None
                item = self._jobs.item(g.tenant, job)
            except TransientError:
                # The product is accepted; that the ledger can't be asked now takes nothing back.
                return None
        return None if item is None else _ended(job, item)


def _ended(job: Job, item: JobItem) -> Response:
    if item.outcome is Outcome.FAILED:
        extensions: dict[str, Any] = {
            "product_id": item.product_id,
            "job_id": job.job_id,
            "retryable": item.retryable,
        }
        raise Problem(422, item.code or "internal_error", item.message or "failed", extensions)
    answer = LandedAnswer(
        status="success", product_id=item.product_id, job_id=job.job_id, outcome=item.outcome
    )
    if item.code:
        answer["warnings"] = [item.code]
    return json_response(answer)


def _product(data: object) -> Product:
    try:
        return read_product(data)
    except Invalid as err:
        raise invalid(err.faults) from err
