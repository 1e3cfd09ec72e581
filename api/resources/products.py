"""`/products`: reading what the index holds, changing fields, and deleting."""

from typing import Any, Final

from flask import Blueprint, Response, g, request
from pydantic import TypeAdapter, ValidationError
from werkzeug.routing import BaseConverter

from api.intake import Intake
from api.requests.bodies import (
    JSON,
    MAX_PRODUCT_BYTES,
    MERGE_PATCH,
    content_type,
    parse_json,
    read_body,
)
from api.requests.parameters import (
    DeleteParameters,
    ListParameters,
    ProductParameters,
    WaitParameters,
    read_parameters,
)
from api.requests.validation import Invalid, faults, validated
from api.responses.answers import json_response, listed_product, product_answer, waiting_answer
from api.responses.landing import Landing
from api.responses.problems import Problem, invalid
from shared.breaker import Breaker
from shared.errors import LedgerUnavailable
from shared.ledger import Ledger
from shared.models.change import Change, Lane
from shared.models.job import ProductStatus
from shared.models.patch import Patch
from shared.models.product import ProductId
from shared.qdrant.service import QdrantService

_PRODUCT_ID: Final[TypeAdapter[str]] = TypeAdapter(ProductId)

_LEDGER_PAUSE_SECONDS: Final = 1.0
"""While the ledger is gone, one reading in this time pays for finding out."""


class ProductIdConverter(BaseConverter):
    """Any product id, percent-encoded or not: also with slashes at its ends or in a row."""

    regex = r"[\s\S]+"
    part_isolating = False
    weight = 200


class Products:
    """Products by id."""

    def __init__(
        self, ledger: Ledger, qdrant: QdrantService, intake: Intake, landing: Landing
    ) -> None:
        self._ledger = ledger
        self._qdrant = qdrant
        self._intake = intake
        self._landing = landing
        self._breaker = Breaker(_LEDGER_PAUSE_SECONDS)

    def blueprint(self) -> Blueprint:
        """The routes. The app needs `ProductIdConverter` as `product_id`."""
        blueprint = Blueprint("products", __name__)
        blueprint.get("/products")(self.list_products)
        blueprint.get("/products/<product_id:product_id>")(self.get_product)
        blueprint.patch("/products/<product_id:product_id>")(self.patch_product)
        blueprint.delete("/products/<product_id:product_id>")(self.delete_product)
        return blueprint

    def list_products(self) -> Response:
        """A page of the tenant's products."""
        asked = read_parameters(ListParameters, request)
        page, next_cursor = self._qdrant.list_products(
            g.tenant, asked.limit, asked.cursor, asked.category
        )
        return json_response(
            {"products": [listed_product(stored) for stored in page], "next_cursor": next_cursor}
        )

    def get_product(self, product_id: str) -> Response:
        """The product as indexed, and whether a newer change waits."""
        include = read_parameters(ProductParameters, request).include
        _check(product_id)
        # The ledger first: what it calls landed is in the index by the time that is read.
        status, known = self._status(product_id)
        stored = self._qdrant.get_product(
            g.tenant, product_id, with_embedding=include == "embedding"
        )
        if stored is None:
            raise _not_found(status)
        return json_response(product_answer(stored, status, ledger_known=known))

    def patch_product(self, product_id: str) -> Response:
        """Asks for a change of some fields; null removes one."""
        wait = read_parameters(WaitParameters, request).wait
        _check(product_id)
        content_type(request, JSON, MERGE_PATCH)
        body = read_body(request, MAX_PRODUCT_BYTES)
        try:
            patch = validated(Patch, parse_json(body))
        except Invalid as err:
            raise invalid(err.faults) from err
        change = Change.patch(product_id, patch.fields())
        job_id = self._intake.accept(request, Lane.FAST, [change], body)
        return self._landing.answer(product_id, job_id, wait)

    def delete_product(self, product_id: str) -> Response:
        """Asks for the product's removal; also of one that isn't there."""
        asked = read_parameters(DeleteParameters, request)
        _check(product_id)
        change = Change.delete(product_id, asked.version)
        job_id = self._intake.accept(request, Lane.FAST, [change], b"")
        return self._landing.answer(product_id, job_id, asked.wait)

    def _status(self, product_id: str) -> tuple[ProductStatus | None, bool]:
        """What the ledger knows, and whether it could be asked: reading goes on without it."""
        if self._breaker.is_open:
            return None, False
        try:
            return self._ledger.product_status(g.tenant, product_id), True
        except LedgerUnavailable:
            self._breaker.trip()
            return None, False


def _check(product_id: str) -> None:
    try:
        _PRODUCT_ID.validate_python(product_id)
    except ValidationError as err:
        raise invalid([{**fault, "field": "product_id"} for fault in faults(err)]) from err


def _not_found(status: ProductStatus | None) -> Problem:
    extensions: dict[str, Any] | None = None
    detail = "there is no such product"
    if status is not None:
        extensions = {
            "pending": status.pending,
            "last_error": status.last_error,
            "waiting": waiting_answer(status),
        }
        if status.pending:
            detail = "not indexed yet: a change of this product waits"
        elif status.last_error:
            detail = "not indexed: its last change failed"
    return Problem(404, "product_not_found", detail, extensions)
