"""A batch of products: its good items, and the faults of the others."""

import io
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

from api.requests.bodies import (
    MALFORMED,
    MAX_PRODUCT_BYTES,
    NDJSON,
    check_cost,
    json_fault,
    parse_json,
    utf8,
)
from api.requests.json_items import cut_items, named_id
from api.requests.validation import Fault, Invalid, validated
from api.responses.problems import Problem, invalid
from shared.models.change import Change
from shared.models.product import Product

MAX_ITEMS: Final = 10_000

_MAX_ID_LENGTH: Final = 128
"""A longer id is not echoed: it is no product's."""

_MAX_KEYS: Final = 64
"""Keys in a product or its attributes. More are refused unseen: each would be a fault by itself."""

_MAX_ERRORS: Final = 100_000
"""Validation errors in one batch, some 0.7 seconds' work, or 1.3 if all are slips in names. Ten
for each of 10,000 items."""


@with_config(use_attribute_docstrings=True)
class Rejected(TypedDict):
    """An item of a batch that can't be taken."""

    position: int
    """The item's place in the request, from 0."""
    product_id: str | None
    """The item's `id`; null if it can't be read."""
    errors: list[Fault]
    """Everything that is wrong with the item."""


@dataclass
class Batch:
    """The changes to accept and the items left out, both by their position in the request."""

    changes: list[Change] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A line or an item that is no JSON, or that is too long to be looked at."""

    code: str
    message: str
    product_id: str | None = None


def read_product(data: object) -> Product:
    """The product. Raises `Invalid`."""
    if not isinstance(data, dict):
        return validated(Product, data)
    if len(data) > _MAX_KEYS:
        message = f"must have at most {_MAX_KEYS} fields"
        raise Invalid([Fault(field="", code="too_many_fields", message=message)], 1)
    attributes = data.get("attributes")
    if isinstance(attributes, dict) and len(attributes) > _MAX_KEYS:
        message = f"must have at most {_MAX_KEYS} keys"
        crowded = Fault(field="attributes", code="too_long", message=message)
        try:
            validated(Product, {**data, "attributes": {}})
        except Invalid as err:
            raise Invalid([crowded, *err.faults], 1 + err.raised) from None
        raise Invalid([crowded], 1)
    return validated(Product, data)


def read_batch(body: bytes, media_type: str, *, refetch: bool = False) -> Batch:
    """Sorts the body's items into good and bad.

    Raises problems: 400 for a document that is no JSON, 422 if it is no list of products or
    is empty, 413 beyond 10,000 items.
    """
    body = utf8(body)
    items = _lines(body) if media_type == NDJSON else _items(body)
    batch, errors = Batch(), 0
    for position, item in enumerate(items):
        if position == MAX_ITEMS:
            raise _too_many()
        try:
            if isinstance(item, _Unreadable):
                fault = Fault(field="", code=item.code, message=item.message)
                raise Invalid([fault], 1)  # noqa: TRY301 - one way of rejecting an item
            batch.changes.append(Change.put(read_product(item), position, refetch))
        except Invalid as err:
            batch.rejected.append(
                Rejected(position=position, product_id=_product_id(item), errors=list(err.faults))
            )
            errors += err.raised
            if errors > _MAX_ERRORS:
                raise Problem(
                    413,
                    "too_many_faults",
                    f"more than {_MAX_ERRORS:,} faults by position {position}; nothing was taken",
                    {"rejected": batch.rejected[:10]},
                ) from None
    if not batch.changes and not batch.rejected:
        raise _empty()
    return batch


def _items(body: bytes) -> Iterable[object]:
    """The document's items. If one is no JSON, each is read by itself."""
    try:
        return _listed(parse_json(body))
    except Problem as problem:
        if problem.code != MALFORMED:
            raise
        try:
            document, texts = cut_items(body, MAX_ITEMS)
        except OverflowError:
            raise _too_many() from None
        except ValueError:
            raise problem from None
    return (_read(texts[number], "item") for number in _listed(document))


def _read(text: bytes, what: str) -> object:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as err:
        message = f"the {what} is not JSON: {json_fault(err)}"
        return _Unreadable("malformed_json", message, named_id(text))


def _listed(document: object) -> Sequence[Any]:
    if not isinstance(document, dict):
        raise _bad_document("", "model_type", 'must be a JSON object: {"products": [...]}')
    unknown = [name for name in document if name != "products"]
    if unknown:
        message = 'is not a known field; the document is {"products": [...]}'
        raise _bad_document(str(unknown[0])[:200], "extra_forbidden", message)
    if "products" not in document:
        raise _bad_document("products", "missing", "is required")
    products = document["products"]
    if not isinstance(products, list):
        raise _bad_document("products", "list_type", "must be a list")
    if len(products) > MAX_ITEMS:
        raise _too_many()
    return products


def _lines(body: bytes) -> Iterator[object]:
    """Each line's value; blank lines are no items."""
    check_cost(body)
    if body.count(b"\n") > 2 * MAX_ITEMS:
        raise _too_many()
    for whole_line in io.BytesIO(body):
        # Files that were joined may have a mark in the middle.
        line = whole_line.removeprefix(BOM_UTF8)
        if not line or line.isspace():
            continue
        # Reading a line holds the interpreter to its end, and all other requests with it.
        if len(line) > MAX_PRODUCT_BYTES:
            yield _Unreadable("too_long", f"the line has more than {MAX_PRODUCT_BYTES:,} bytes")
            continue
        yield _read(line, "line")


def _product_id(item: object) -> str | None:
    if isinstance(item, _Unreadable):
        identity = item.product_id
    else:
        identity = item.get("id") if isinstance(item, dict) else None
    return identity if isinstance(identity, str) and len(identity) <= _MAX_ID_LENGTH else None


def _bad_document(field_name: str, code: str, message: str) -> Problem:
    return invalid([Fault(field=field_name, code=code, message=message)])


def _empty() -> Problem:
    return _bad_document("products", "too_short", "must hold at least one product")


def _too_many() -> Problem:
    return Problem(413, "too_many_items", f"at most {MAX_ITEMS:,} products in one call")
