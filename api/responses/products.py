"""Answers about products as the index holds them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from shared.models.job import ProductStatus
from shared.models.product import StoredProduct


@with_config(use_attribute_docstrings=True)
class LastError(TypedDict):
    """Why the last change of a product failed."""

    code: str
    """A stable name of the fault, for programs."""
    message: str
    """A sentence for people."""


@with_config(use_attribute_docstrings=True)
class WaitingAnswer(TypedDict):
    """The reason why a pending change waits."""

    code: str
    """Why its last attempt failed, as a stable name for programs."""
    message: str
    """The same in a sentence for people."""
    attempts: int
    """Attempts that have failed."""
    next_try_at: datetime
    """When it is tried again."""


@with_config(use_attribute_docstrings=True)
class ProductAnswer(TypedDict):
    """A product as indexed. A list leaves out `pending`, `last_error`, `waiting` and `embedding`.

    If a change waits for its picture's server, the fields are those of the change already, while
    `image_url` and the vector are still those of before.
    """

    id: str
    """The product's id."""
    name: str
    """The product's name."""
    image_url: str
    """The address of the picture behind the vector."""
    description: str | None
    """The text about the product."""
    category: str | None
    """The product's category."""
    price: float | None
    """The product's regular price."""
    attributes: dict[str, Any]
    """Further facts by name."""
    created_at: datetime
    """The product's date, in UTC."""
    version: int | None
    """The shop's own version of the product, the highest accepted."""
    group_id: str | None
    """The id that the variants of one product share."""
    brand: str | None
    """The product's brand."""
    sku: str | None
    """The shop's own number of the article."""
    gtin: str | None
    """The number of the article in the world's trade."""
    mpn: str | None
    """The manufacturer's number of the article."""
    url: str | None
    """The address of the product's page."""
    currency: str | None
    """The currency of the prices (ISO 4217)."""
    sale_price: float | None
    """What the shopper pays, if it is less than `price`."""
    availability: str | None
    """`in_stock`, `out_of_stock`, `preorder` or `backorder`; null counts as in stock."""
    additional_image_urls: list[str] | None
    """Addresses of further pictures."""
    rev: int
    """The service's version of the product: microseconds since 1970, rising with every change."""
    indexed_at: str
    """When the index last took a change of the product."""
    warnings: list[str]
    """Codes of what is wrong with the product: that of a new picture that can't be used, so that
    the earlier one stays; `image_blank` of a picture of one colour; `attribute_type_mismatch` of a
    value of another type than ATTRIBUTE_INDEXES lists; `gtin_check_digit` of a `gtin` whose last
    digit does not fit the others."""
    pending: NotRequired[bool | None]
    """Whether a newer change waits; null if the ledger doesn't answer."""
    last_error: NotRequired[LastError | None]
    """Why the last change failed, if it did."""
    waiting: NotRequired[WaitingAnswer | None]
    """The reason why the pending change waits, if it has been tried."""
    embedding: NotRequired[list[float]]
    """The vector, with `?include=embedding`."""


@with_config(use_attribute_docstrings=True)
class ProductsAnswer(TypedDict):
    """A page of products."""

    products: list[ProductAnswer]
    """The products."""
    next_cursor: str | None
    """`cursor` of the next page; null if this is the last one."""


def listed_product(stored: StoredProduct, warnings: Iterable[str]) -> dict[str, Any]:
    """The product's own fields and the index's. `warnings`: those beside the stored ones."""
    return {
        **stored.product.model_dump(),
        "rev": stored.rev,
        "indexed_at": stored.indexed_at,
        "warnings": [*stored.warnings, *warnings],
    }


def product_answer(
    listed: dict[str, Any],
    stored: StoredProduct,
    status: ProductStatus | None,
    *,
    ledger_known: bool,
) -> dict[str, Any]:
    """The listed product with the ledger's facts. `ledger_known`: whether the ledger answers."""
    answer = {
        **listed,
        "pending": (status is not None and status.pending) if ledger_known else None,
        "last_error": status.last_error if status else None,
        "waiting": waiting_answer(status),
    }
    if stored.embedding is not None:
        answer["embedding"] = list(stored.embedding)
    return answer


def waiting_answer(status: ProductStatus | None) -> WaitingAnswer | None:
    """The reason why the product's pending change waits; None if it doesn't."""
    if status is None or status.waiting is None:
        return None
    waiting = status.waiting
    return WaitingAnswer(
        code=waiting.code,
        message=waiting.message,
        attempts=waiting.attempts,
        next_try_at=waiting.next_try_at,
    )
