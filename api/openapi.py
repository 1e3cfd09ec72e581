"""The OpenAPI document, made from the models that the views themselves use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal, NotRequired

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from api.answers import (
    PREFIX,
    BatchQueuedAnswer,
    JobAnswer,
    JobItemsAnswer,
    JobsAnswer,
    LandedAnswer,
    LastError,
    ProductAnswer,
    ProductsAnswer,
    QueuedAnswer,
    RetryQueuedAnswer,
    SearchResultsAnswer,
)
from api.batch import Rejected
from api.bodies import JSON, MERGE_PATCH, NDJSON
from api.forms import MULTIPART
from api.parameters import (
    DeleteParameters,
    ItemsParameters,
    JobsParameters,
    ListParameters,
    ProductParameters,
    WaitParameters,
)
from api.problems import MEDIA_TYPE
from api.validation import Fault
from shared.models.patch import Patch
from shared.models.product import Product
from shared.models.search import MAX_OFFSET, MAX_TOP_K, SearchRequest

Json = dict[str, Any]
_Schema = tuple[type, Literal["validation", "serialization"], TypeAdapter[Any]]


class ProblemAnswer(TypedDict):
    """An error (RFC 9457). `code` is stable; `errors` names each faulty field."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: NotRequired[str]
    errors: NotRequired[list[Fault]]
    rejected: NotRequired[list[Rejected]]
    job_id: NotRequired[str]
    product_id: NotRequired[str]
    retryable: NotRequired[bool]
    accepted: NotRequired[int]
    pending: NotRequired[bool]
    last_error: NotRequired[LastError | None]
    failing: NotRequired[list[str]]
    checks: NotRequired[dict[str, str]]


class ProductsBody(TypedDict):
    """A batch, at most 10,000 products and 32 MiB."""

    products: list[Product]


class Ready(TypedDict):
    """All parts answer."""

    status: str
    checks: dict[str, str]


class Alive(TypedDict):
    """The process answers."""

    status: str


_BODIES: Final[Sequence[type]] = (Product, ProductsBody, Patch, SearchRequest)
_ANSWERS: Final[Sequence[type]] = (
    ProblemAnswer,
    QueuedAnswer,
    BatchQueuedAnswer,
    LandedAnswer,
    RetryQueuedAnswer,
    JobAnswer,
    JobsAnswer,
    JobItemsAnswer,
    ProductAnswer,
    ProductsAnswer,
    SearchResultsAnswer,
    Alive,
    Ready,
)


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    answers: Mapping[int, Json]
    problems: Sequence[int] = ()
    parameters: type[BaseModel] | None = None
    extra_parameters: Sequence[Json] = ()
    body: Json | None = None
    open: bool = field(default=False)


_REFERENCE: Final = "#/components/schemas/{model}"

# Pydantic has no JSON Schema for bounds on a union, such as that of a price.
_BOUNDS: Final = {"ge": "minimum", "le": "maximum"}


def _reference(schema: type) -> Json:
    return {"$ref": _REFERENCE.format(model=schema.__name__)}


def _json(description: str, schema: type) -> Json:
    return {"description": description, "content": {JSON: {"schema": _reference(schema)}}}


def _text(description: str, media_type: str) -> Json:
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def _accepted(schema: type) -> Json:
    location = {"description": "The job.", "schema": {"type": "string"}}
    return {
        **_json("Accepted: the change will be made.", schema),
        "headers": {"Location": location},
    }


_IDEMPOTENCY_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A repeat with the same key and body gives the same job; another body: 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_CONTENT_ENCODING: Final[Json] = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "How the body is packed, if it is.",
    "schema": {"type": "string", "enum": ["gzip", "identity"]},
}


def _in_path(name: str, description: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


_PRODUCT_ID: Final = _in_path("product_id", "May hold `/`, as such or as `%2F`.")
_JOB_ID: Final = _in_path("job_id", "As given on acceptance.")
_WRITE_PROBLEMS: Final = (401, 409, 422, 503)
_BODY_PROBLEMS: Final = (400, 413, 415)

_ATTRIBUTES: Final = _reference(SearchRequest)["$ref"] + "/properties/attributes"
_RANKING_FIELDS: Final[Mapping[str, Json]] = {
    "top_k": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": 10},
    "offset": {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
    "min_score": {"type": "number", "minimum": -1, "maximum": 1},
    "category_filter": {"type": "string", "minLength": 1, "maxLength": 128},
    "price_min": {"type": "number", "minimum": 0},
    "price_max": {"type": "number", "minimum": 0},
}
_RANKING_QUERY: Final[Sequence[Json]] = (
    *({"name": name, "in": "query", "schema": schema} for name, schema in _RANKING_FIELDS.items()),
    {
        "name": "attributes",
        "in": "query",
        "description": "As in the POST, as JSON.",
        "content": {JSON: {"schema": {"$ref": _ATTRIBUTES}}},
    },
)
_SEARCH_QUERY: Final[Sequence[Json]] = (
    {
        "name": "q",
        "in": "query",
        "required": True,
        "description": "`text_query` of the POST.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 1000},
    },
    *_RANKING_QUERY,
)
_SIMILAR_QUERY: Final[Sequence[Json]] = (
    {
        "name": "product_id",
        "in": "query",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    *_RANKING_QUERY,
)
_SEARCH_FORM: Final[Json] = {
    "schema": {
        "type": "object",
        "description": "The fields of the JSON document, `attributes` as JSON; a picture comes as "
        "the file `image` in place of `image_base64`.",
        "properties": {
            "image": {"type": "string", "contentMediaType": "application/octet-stream"},
            "text_query": {"type": "string", "minLength": 1, "maxLength": 1000},
            "image_url": {"type": "string", "minLength": 1, "maxLength": 2000},
            "product_id": {"type": "string", "minLength": 1, "maxLength": 128},
            **_RANKING_FIELDS,
            "attributes": {"$ref": _ATTRIBUTES},
        },
        "additionalProperties": False,
    }
}

_LINES: Final[Json] = {"schema": {"type": "string", "description": "One JSON object per line."}}
_ITEMS: Final[Json] = {
    "description": "A page of items. As lines: all items where no `limit` is given, else a page, "
    "and the next one stands in the `Link` header.",
    "content": {JSON: {"schema": _reference(JobItemsAnswer)}, NDJSON: _LINES},
}

OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        "post",
        f"{PREFIX}/index-product",
        "indexProduct",
        "Index one product, or replace it",
        "Indexing",
        {
            200: _json("With `wait`: the change has ended.", LandedAnswer),
            202: _accepted(QueuedAnswer),
        },
        (*_BODY_PROBLEMS, *_WRITE_PROBLEMS),
        WaitParameters,
        (_IDEMPOTENCY_KEY, _CONTENT_ENCODING),
        {JSON: {"schema": _reference(Product)}},
    ),
    Operation(
        "post",
        f"{PREFIX}/index-products",
        "indexProducts",
        "Index many products; the good ones go in whatever the others are",
        "Indexing",
        {202: _accepted(BatchQueuedAnswer)},
        (*_BODY_PROBLEMS, *_WRITE_PROBLEMS),
        None,
        (_IDEMPOTENCY_KEY, _CONTENT_ENCODING),
        {JSON: {"schema": _reference(ProductsBody)}, NDJSON: _LINES},
    ),
    Operation(
        "get",
        f"{PREFIX}/products",
        "listProducts",
        "List products as indexed",
        "Products",
        {200: _json("A page.", ProductsAnswer)},
        (401, 422, 503),
        ListParameters,
    ),
    Operation(
        "get",
        f"{PREFIX}/products/{{product_id}}",
        "getProduct",
        "Read one product as indexed, and whether a newer change waits",
        "Products",
        {200: _json("The product.", ProductAnswer)},
        (401, 404, 422, 503),
        ProductParameters,
        (_PRODUCT_ID,),
    ),
    Operation(
        "patch",
        f"{PREFIX}/products/{{product_id}}",
        "patchProduct",
        "Change some fields of a product; null removes one",
        "Products",
        {202: _accepted(QueuedAnswer)},
        (*_BODY_PROBLEMS, *_WRITE_PROBLEMS, 404),
        None,
        (_PRODUCT_ID, _IDEMPOTENCY_KEY, _CONTENT_ENCODING),
        {JSON: {"schema": _reference(Patch)}, MERGE_PATCH: {"schema": _reference(Patch)}},
    ),
    Operation(
        "delete",
        f"{PREFIX}/products/{{product_id}}",
        "deleteProduct",
        "Delete a product; also one that isn't there",
        "Products",
        {202: _accepted(QueuedAnswer)},
        _WRITE_PROBLEMS,
        DeleteParameters,
        (_PRODUCT_ID, _IDEMPOTENCY_KEY),
    ),
    Operation(
        "get",
        f"{PREFIX}/jobs",
        "listJobs",
        "List jobs, newest first",
        "Jobs",
        {
            200: _json(
                "A page. With `state` it may be short, even empty, while `next_cursor` goes on.",
                JobsAnswer,
            )
        },
        (401, 422, 503),
        JobsParameters,
    ),
    Operation(
        "get",
        f"{PREFIX}/jobs/{{job_id}}",
        "getJob",
        "Read how far a job is, or wait for its end",
        "Jobs",
        {200: _json("The job.", JobAnswer)},
        (401, 404, 422, 503),
        WaitParameters,
        (_JOB_ID,),
    ),
    Operation(
        "get",
        f"{PREFIX}/jobs/{{job_id}}/items",
        "listJobItems",
        "List a job's items, for example the failed ones",
        "Jobs",
        {200: _ITEMS},
        (401, 404, 422, 503),
        ItemsParameters,
        (_JOB_ID,),
    ),
    Operation(
        "post",
        f"{PREFIX}/jobs/{{job_id}}/retry",
        "retryJob",
        "Try again what failed in an ended job and may succeed, unless something newer was sent",
        "Jobs",
        {202: _accepted(RetryQueuedAnswer)},
        (404, *_WRITE_PROBLEMS),
        None,
        (_JOB_ID, _IDEMPOTENCY_KEY),
    ),
    Operation(
        "post",
        f"{PREFIX}/search",
        "search",
        "Search by words, by pictures, by a product, or by a mix of them",
        "Search",
        {200: _json("The nearest products.", SearchResultsAnswer)},
        (*_BODY_PROBLEMS, 401, 404, 422, 503),
        None,
        (_CONTENT_ENCODING,),
        {JSON: {"schema": _reference(SearchRequest)}, MULTIPART: _SEARCH_FORM},
    ),
    Operation(
        "get",
        f"{PREFIX}/search",
        "searchByUrl",
        "Search by words, in a URL",
        "Search",
        {200: _json("The nearest products.", SearchResultsAnswer)},
        (401, 422, 503),
        None,
        _SEARCH_QUERY,
    ),
    Operation(
        "get",
        f"{PREFIX}/similar",
        "findSimilar",
        "What looks like a product, without itself and its group",
        "Search",
        {200: _json("The nearest products.", SearchResultsAnswer)},
        (401, 404, 422, 503),
        None,
        _SIMILAR_QUERY,
    ),
    Operation(
        "get",
        "/healthz",
        "isAlive",
        "Whether the process answers",
        "Health",
        {200: _json("It does.", Alive)},
        open=True,
    ),
    Operation(
        "get",
        "/readyz",
        "isReady",
        "Whether Redis, Qdrant and the encoder answer",
        "Health",
        {200: _json("They do.", Ready)},
        (503,),
        open=True,
    ),
    Operation(
        "get",
        "/metrics",
        "readMetrics",
        "Metrics for Prometheus",
        "Health",
        {200: _text("Values.", "text/plain")},
        open=True,
    ),
    Operation(
        "get",
        "/openapi.json",
        "readDescription",
        "This document",
        "Documentation",
        {200: {"description": "OpenAPI 3.1.", "content": {JSON: {"schema": {"type": "object"}}}}},
        open=True,
    ),
    Operation(
        "get",
        "/docs",
        "readPage",
        "This document as a page",
        "Documentation",
        {200: _text("A page.", "text/html")},
        open=True,
    ),
)


def document(*, keys_needed: bool) -> Json:
    """The OpenAPI 3.1 document. `keys_needed` tells whether this process asks for keys."""
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        entry = _operation(operation, keys_needed=keys_needed)
        paths.setdefault(operation.path, {})[operation.method] = entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vitrine",
            "version": "1",
            "description": "Visual product search for shops. Paths outside of /api/v1 are found "
            "under it too; probes should use them as they stand here.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(operation: Operation, *, keys_needed: bool) -> Json:
    answers = {str(status): answer for status, answer in operation.answers.items()}
    for status in sorted({*operation.problems, HTTPStatus.INTERNAL_SERVER_ERROR}):
        answers[str(int(status))] = _problem(status)
    entry: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*operation.extra_parameters, *_query(operation.parameters)],
        "responses": answers,
    }
    if operation.body is not None:
        entry["requestBody"] = {"required": True, "content": operation.body}
    if keys_needed and not operation.open:
        entry["security"] = [{"bearer": []}, {"apiKey": []}]
    return entry


def _problem(status: int) -> Json:
    answer: Json = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": _reference(ProblemAnswer)}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": seconds}
    return answer


def _query(model: type[BaseModel] | None) -> list[Json]:
    """A model's fields as query parameters, each with a schema of its own."""
    if model is None:
        return []
    parameters = []
    for name, info in model.model_fields.items():
        adapter: TypeAdapter[Any] = TypeAdapter(info.rebuild_annotation())
        schema = adapter.json_schema(ref_template=_REFERENCE)
        # What it refers to stands among the components.
        schema.pop("$defs", None)
        # An absent parameter is no `null`.
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        for kind in kinds:
            schema.update(kind)
        if info.default is not None:
            schema["default"] = info.default
        parameters.append({"name": name, "in": "query", "schema": schema})
    return parameters


def _schemas() -> Json:
    # As sent for bodies, as answered for answers: defaults are optional in one, present in the
    # other.
    inputs: list[_Schema] = [(body, "validation", TypeAdapter(body)) for body in _BODIES]
    outputs: list[_Schema] = [(answer, "serialization", TypeAdapter(answer)) for answer in _ANSWERS]
    _, definitions = TypeAdapter.json_schemas([*inputs, *outputs], ref_template=_REFERENCE)
    schemas: Json = _standard(definitions["$defs"])
    return schemas


def _standard(schema: Any) -> Any:
    """The schema with JSON Schema's names for bounds that pydantic leaves under its own."""
    if isinstance(schema, list):
        return [_standard(part) for part in schema]
    if isinstance(schema, dict):
        return {_BOUNDS.get(name, name): _standard(part) for name, part in schema.items()}
    return schema
