"""`POST /index-product` and `POST /index-products`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import Blueprint, Response, request

from api.access.slots import WaitingRoom
from api.intake import Intake
from api.requests.batch import read_batch, read_product
from api.requests.bodies import (
    JSON,
    MAX_BATCH_BYTES,
    MAX_PRODUCT_BYTES,
    NDJSON,
    content_type,
    parse_json,
    read_body,
)
from api.requests.parameters import BatchParameters, IndexParameters, read_parameters
from api.requests.validation import Invalid
from api.responses.answers import (
    BatchQueuedAnswer,
    accepted_response,
    status_url,
)
from api.responses.landing import Landing
from api.responses.problems import Problem, invalid
from shared.models.change import Change, Lane
from shared.models.product import Product

_LARGE_BATCH_BYTES: Final = 2**20

_TURN_SECONDS: Final = 30.0
"""For others' large batches to be taken: a second or two each."""


class Indexing:
    """Products coming in."""

    def __init__(self, intake: Intake, landing: Landing, batches: WaitingRoom) -> None:
        """`batches`: places for those who wait with a large batch."""
        self._intake = intake
        self._landing = landing
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
        asked = read_parameters(IndexParameters, request)
        content_type(request, JSON)
        body = read_body(request, MAX_PRODUCT_BYTES)
        product = _product(parse_json(body))
        change = Change.put(product, refetch=asked.refetch)
        job_id = self._intake.accept(request, Lane.SINGLE, [change], body)
        return self._landing.answer(product.id, job_id, asked.wait)

    def index_products(self) -> Response:
        """Up to 10,000 products; the good ones go in whatever the others are."""
        refetch = read_parameters(BatchParameters, request).refetch
        media_type = content_type(request, JSON, NDJSON)
        body = read_body(request, MAX_BATCH_BYTES)
        with self._turn(len(body)):
            batch = read_batch(body, media_type, refetch=refetch)
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


def _product(data: object) -> Product:
    try:
        return read_product(data)
    except Invalid as err:
        raise invalid(err.faults) from err
