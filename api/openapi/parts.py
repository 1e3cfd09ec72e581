"""What the operations of the OpenAPI document are put together from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NotRequired

from pydantic import BaseModel
from typing_extensions import TypedDict

from api.openapi.examples import KNOWN_ID, LEFT_EMPTY, NEW_ID, SEARCHES
from api.requests.batch import Rejected
from api.requests.bodies import JSON, NDJSON
from api.requests.validation import Fault
from api.responses.answers import (
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
    WaitingAnswer,
)
from shared.models.patch import Patch
from shared.models.product import MAX_PRICE, Product
from shared.models.search import MAX_OFFSET, MAX_TOP_K, SearchRequest

Json = dict[str, Any]


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
    waiting: NotRequired[WaitingAnswer | None]
    failing: NotRequired[list[str]]
    checks: NotRequired[dict[str, str]]


class ProductsBody(TypedDict):
    """A batch, at most 10,000 products and 32 MiB."""

    products: list[Product]


class Ready(TypedDict):
    """All parts answer. `warnings`: `ledger_lost` if products in the index are not known,
    `keys_file_exposed` if others may read the keys file, `model_has_no_products` if the index holds
    those of another model alone (`collections` then says how many), `index_needs_upgrade` if
    products of an earlier release are left.
    """

    status: str
    checks: dict[str, str]
    warnings: list[str]
    collections: NotRequired[dict[str, int]]


class Alive(TypedDict):
    """The process answers."""

    status: str


BODIES: Final[Sequence[type]] = (Product, ProductsBody, Patch, SearchRequest)
ANSWERS: Final[Sequence[type]] = (
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


REFERENCE: Final = "#/components/schemas/{model}"

# Pydantic has no JSON Schema for bounds on a union, such as that of a price.
BOUNDS: Final = {"ge": "minimum", "le": "maximum"}


def reference(schema: type) -> Json:
    return {"$ref": REFERENCE.format(model=schema.__name__)}


def json_answer(description: str, schema: type) -> Json:
    return {"description": description, "content": {JSON: {"schema": reference(schema)}}}


def text_answer(description: str, media_type: str) -> Json:
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def accepted(schema: type) -> Json:
    location = {"description": "The job.", "schema": {"type": "string"}}
    return {
        **json_answer("Accepted: the change will be made.", schema),
        "headers": {"Location": location},
    }


IDEMPOTENCY_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A repeat with the same key and body gives the same job; another body: 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
CONTENT_ENCODING: Final[Json] = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "How the body is packed, if it is.",
    "schema": {"type": "string", "enum": ["gzip", "identity"]},
}


def in_path(name: str, description: str, **more: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
        **more,
    }


_ID_IN_PATH: Final = "May hold `/`, as such or as `%2F`."
PRODUCT_ID: Final = in_path("product_id", _ID_IN_PATH, example=KNOWN_ID)
DELETED_ID: Final = in_path("product_id", _ID_IN_PATH, example=NEW_ID)
JOB_ID: Final = in_path("job_id", "As given on acceptance.")
WRITE_PROBLEMS: Final = (401, 409, 422, 503)
BODY_PROBLEMS: Final = (400, 413, 415)

ATTRIBUTES: Final = reference(SearchRequest)["$ref"] + "/properties/attributes"
_RANKING_FIELDS: Final[Mapping[str, Json]] = {
    "top_k": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": 10},
    "offset": {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
    "min_score": {"type": "number", "minimum": -1, "maximum": 1},
    "category_filter": {"type": "string", "minLength": 1, "maxLength": 128},
    "price_min": {"type": "number", "minimum": 0, "maximum": MAX_PRICE},
    "price_max": {"type": "number", "minimum": 0, "maximum": MAX_PRICE},
}
_RANKING_QUERY: Final[Sequence[Json]] = (
    *({"name": name, "in": "query", "schema": schema} for name, schema in _RANKING_FIELDS.items()),
    {
        "name": "attributes",
        "in": "query",
        "description": "As in the POST, as JSON.",
        "content": {JSON: {"schema": {"$ref": ATTRIBUTES}, "example": {}}},
    },
)
SEARCH_QUERY: Final[Sequence[Json]] = (
    {
        "name": "q",
        "in": "query",
        "required": True,
        "description": "`text_query` of the POST.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 1000},
        "example": SEARCHES["words"]["value"]["text_query"],
    },
    *_RANKING_QUERY,
)
SIMILAR_QUERY: Final[Sequence[Json]] = (
    {
        "name": "product_id",
        "in": "query",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        "example": KNOWN_ID,
    },
    *_RANKING_QUERY,
)
_FORM_TEXTS: Final[Mapping[str, Json]] = {
    "text_query": {"type": "string", "minLength": 1, "maxLength": 1000},
    "image_url": {"type": "string", "minLength": 1, "maxLength": 2000},
    "product_id": {"type": "string", "minLength": 1, "maxLength": 128},
    **_RANKING_FIELDS,
    "attributes": {"$ref": ATTRIBUTES},
}
SEARCH_FORM: Final[Json] = {
    "schema": {
        "type": "object",
        "description": "The fields of the JSON document, `attributes` as JSON; a picture comes as "
        "the file `image` in place of `image_base64`. An empty field is an absent one.",
        "properties": {
            "image": {"type": "string", "contentMediaType": "application/octet-stream"},
            **{name: {"examples": LEFT_EMPTY, **schema} for name, schema in _FORM_TEXTS.items()},
        },
        "additionalProperties": False,
    }
}

LINES: Final[Json] = {"schema": {"type": "string", "description": "One JSON object per line."}}
ITEMS: Final[Json] = {
    "description": "A page of items. As lines: all items where no `limit` is given, else a page, "
    "and the next one stands in the `Link` header.",
    "content": {JSON: {"schema": reference(JobItemsAnswer)}, NDJSON: LINES},
}
