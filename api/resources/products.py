"""`/products`: reading products as indexed, changing fields, and deleting."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Response, g, request
from pydantic import TypeAdapter, ValidationError
from werkzeug.routing import BaseConverter

from api.intake import Intake
from api.openapi.describe import Operation, json_answer
from api.openapi.examples import KNOWN_ID, NEW_ID, PATCH
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
from api.responses.answers import json_response
from api.responses.landing import ONE_CHANGE, Landing
from api.responses.problems import Problem, invalid
from api.responses.products import (
    ProductAnswer,
    ProductsAnswer,
    listed_product,
    product_answer,
    waiting_answer,
)
from shared.breaker import Breaker
from shared.errors import LedgerUnavailable
from shared.ledger import Ledger
from shared.models.attributes import AttributeType
from shared.models.change import Change, Lane
from shared.models.job import ProductStatus
from shared.models.patch import Patch
from shared.models.product import ProductId, StoredProduct
from shared.models.remarks import remarks
from shared.qdrant.service import QdrantService

_PRODUCT_ID: Final[TypeAdapter[str]] = TypeAdapter(ProductId)

_LEDGER_PAUSE_SECONDS: Final = 1.0
"""While the ledger is gone, one reading in this time tries it."""


class ProductIdConverter(BaseConverter):
    """Any product id, percent-encoded or not: also with slashes at its ends or in a row."""

    regex = r"[\s\S]+"
    part_isolating = False
    weight = 200


_PATCH: Final = {"schema": Patch, "example": PATCH}
_IN_PATH: Final = {"description": "The product's id. It may hold `/`, as such or as `%2F`."}


class ProductsResource:
    """Products by id. The app needs `ProductIdConverter` as `product_id`."""

    def __init__(
        self,
        ledger: Ledger,
        qdrant: QdrantService,
        intake: Intake,
        landing: Landing,
        attribute_types: Mapping[str, AttributeType],
    ) -> None:
        """`attribute_types`: of the attributes that are listed in ATTRIBUTE_INDEXES."""
        self._ledger = ledger
        self._qdrant = qdrant
        self._intake = intake
        self._landing = landing
        self._attribute_types = attribute_types
        self._breaker = Breaker(_LEDGER_PAUSE_SECONDS)

    @Operation(
        "GET",
        "/products",
        {200: json_answer("A page.", ProductsAnswer)},
        ListParameters,
    )
    def list_products(self) -> Response:
        """List products as indexed.

        The order is the index's own. `next_cursor` leads on from page to page.
        """
        parameters = read_parameters(ListParameters, request)
        page, next_cursor = self._qdrant.list_products(
            g.tenant, parameters.limit, parameters.cursor, parameters.category
        )
        products = [self._listed(stored) for stored in page]
        return json_response({"products": products, "next_cursor": next_cursor})

    @Operation(
        "GET",
        "/products/<product_id:product_id>",
        {200: json_answer("The product.", ProductAnswer)},
        ProductParameters,
        {"product_id": {**_IN_PATH, "example": KNOWN_ID}},
        problems=(404,),
    )
    def get_product(self, product_id: str) -> Response:
        """Read one product as indexed.

        `pending` tells whether a newer change waits, and `waiting` what for.
        """
        include = read_parameters(ProductParameters, request).include
        _check(product_id)
        # The ledger first: what it calls landed is in the index by the time that is read.
        status, known = self._status(product_id)
        stored = self._qdrant.get_product(
            g.tenant, product_id, with_embedding=include == "embedding"
        )
        if stored is None:
            raise _not_found(status)
        answer = product_answer(self._listed(stored), stored, status, ledger_known=known)
        return json_response(answer)

    @Operation(
        "PATCH",
        "/products/<product_id:product_id>",
        ONE_CHANGE,
        WaitParameters,
        {"product_id": {**_IN_PATH, "example": KNOWN_ID}},
        body=dict.fromkeys((JSON, MERGE_PATCH), _PATCH),
        problems=(404,),
        is_write=True,
    )
    def patch_product(self, product_id: str) -> Response:
        """Change some fields of a product.

        Fields that are not sent stay; null removes one. The picture can't be patched: send the
        whole product again.
        """
        parameters = read_parameters(WaitParameters, request)
        _check(product_id)
        content_type(request, JSON, MERGE_PATCH)
        body = read_body(request, MAX_PRODUCT_BYTES)
        try:
            patch = validated(Patch, parse_json(body))
        except Invalid as err:
            raise invalid(err.faults) from err
        change = Change.patch(product_id, patch.fields())
        job_id = self._intake.accept(request, parameters, Lane.FAST, [change], body)
        return self._landing.response(product_id, job_id, parameters.wait)

    @Operation(
        "DELETE",
        "/products/<product_id:product_id>",
        ONE_CHANGE,
        DeleteParameters,
        {"product_id": {**_IN_PATH, "example": NEW_ID}},
        is_write=True,
    )
    def delete_product(self, product_id: str) -> Response:
        """Delete a product.

        A product that isn't there is no error: its item ends as `deleted` or `stale`.
        """
        parameters = read_parameters(DeleteParameters, request)
        _check(product_id)
        change = Change.delete(product_id, parameters.version)
        job_id = self._intake.accept(request, parameters, Lane.FAST, [change], b"")
        return self._landing.response(product_id, job_id, parameters.wait)

    def _listed(self, stored: StoredProduct) -> dict[str, Any]:
        # Not stored, because it depends on a setting that may change.
        found = remarks(stored.product, self._attribute_types)
        return listed_product(stored, [remark.code for remark in found])

    def _status(self, product_id: str) -> tuple[ProductStatus | None, bool]:
        """The ledger's part, and whether it could be asked: reading goes on without it."""
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
