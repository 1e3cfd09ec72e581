"""`POST /index-product` and `POST /index-products`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import Response, request
from pydantic import with_config
from typing_extensions import TypedDict

from api.access.slots import Slots
from api.intake import Intake
from api.openapi.describe import LINES, Operation, accepted
from api.openapi.examples import PRODUCT, PRODUCTS
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
from api.responses.changes import BatchQueuedAnswer, accepted_response, status_url
from api.responses.landing import ONE_CHANGE, Landing
from api.responses.problems import Problem, invalid
from shared.models.change import Change, Lane
from shared.models.product import Product

_LARGE_BATCH_BYTES: Final = 2**20

_TURN_SECONDS: Final = 30.0
"""For others' large batches to be taken: a second or two each."""


@with_config(use_attribute_docstrings=True)
class ProductsBody(TypedDict):
    """A batch."""

    products: list[Product]
    """At most 10,000 products, 32 MiB in all."""


class IndexingResource:
    """Products coming in."""

    def __init__(self, intake: Intake, landing: Landing, batches: Slots) -> None:
        """`batches`: slots for requests that wait with a large batch."""
        self._intake = intake
        self._landing = landing
        self._batches = batches
        self._large_batch = threading.Lock()

    @Operation(
        "POST",
        "/index-product",
        ONE_CHANGE,
        IndexParameters,
        body={JSON: {"schema": Product, "example": PRODUCT}},
        is_write=True,
    )
    def index_product(self) -> Response:
        """Index one product, or replace it.

        The service fetches the picture from `image_url` and computes its vector, so that the
        product is found by words and by pictures. `?wait=10` waits until it is searchable.
        """
        parameters = read_parameters(IndexParameters, request)
        content_type(request, JSON)
        body = read_body(request, MAX_PRODUCT_BYTES)
        try:
            product = read_product(parse_json(body))
        except Invalid as err:
            raise invalid(err.faults) from err
        change = Change.put(product, refetch=parameters.refetch)
        job_id = self._intake.accept(request, parameters, Lane.SINGLE, [change], body)
        return self._landing.response(product.id, job_id, parameters.wait)

    @Operation(
        "POST",
        "/index-products",
        {202: accepted(BatchQueuedAnswer)},
        BatchParameters,
        body={JSON: {"schema": ProductsBody, "example": PRODUCTS}, **LINES},
        is_write=True,
    )
    def index_products(self) -> Response:
        """Index up to 10,000 products.

        The good ones go in whatever the others are; `rejected` tells what is wrong with each of
        these. Of an id that comes twice the later product counts. As lines
        (`application/x-ndjson`) each line is one product.
        """
        parameters = read_parameters(BatchParameters, request)
        media_type = content_type(request, JSON, NDJSON)
        body = read_body(request, MAX_BATCH_BYTES)
        with self._turn(len(body)):
            batch = read_batch(body, media_type, refetch=parameters.refetch)
        if not batch.changes:
            raise Problem(
                422,
                "nothing_accepted",
                "none of the products can be taken; see what is wrong with each",
                {"accepted": 0, "rejected": batch.rejected},
            )
        job_id = self._intake.accept(request, parameters, Lane.BULK, batch.changes, body)
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
        ten times as large. That costs no time, because reading JSON holds the interpreter anyway.

        Raises a 503 problem if too many wait already, or the turn does not come in time.
        """
        if size <= _LARGE_BATCH_BYTES:
            yield
            return
        with self._batches.slot() as allowed:
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
