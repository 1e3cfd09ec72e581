"""What a search answers with: hits, rankings and the whole answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple

from pydantic import ConfigDict

SCORE_DIGITS: Final = 6
"""Of a cosine that is shown: its seventh depends on the order in which a server adds up."""

QueryType = Literal["text", "image", "product", "mixed", "browse"]
Side = Literal["words", "looks"]
"""What a query is compared with: a product's texts, or its picture."""
Part = Literal["code", "words", "looks"]
"""The part of a product that a search found it by."""
Relation = Literal["eq", "gte"]
"""How a count is to be read: exact, or at least so many."""


class Ranked(NamedTuple):
    """A product that answers a search, and the score that its hit shows."""

    product_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a result's `score` came about."""

    __pydantic_config__ = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    words: float | None
    """How well the words match, 0 to 1; null if they don't."""
    looks: float | None
    """How near the picture is, 0 to 1: 0.1 is as near as unrelated products are, 0.9 as near as
    this
    model ever finds a product; null if it is further away than the cut-off."""
    words_weight: float
    """The share of words in the score; the rest is that of looks."""
    code: Literal["equals", "begins"] | None
    """Whether one of the product's codes is the query, or begins with it: such products come
    first."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: the product's public fields, and the plain cosine of the two vectors."""

    # The cache holds these too: other versions' entries are told apart by their fields and types.
    __pydantic_config__ = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    product_id: str
    """The product's id."""
    name: str
    """The product's name."""
    description: str | None
    """The text about the product."""
    price: int | float | None
    """The product's regular price."""
    sale_price: int | float | None
    """What the shopper pays, if it is less than `price`."""
    currency: str | None
    """The currency of the prices (ISO 4217)."""
    availability: str | None
    """`in_stock`, `out_of_stock`, `preorder` or `backorder`; null counts as in stock."""
    category: str | None
    """The product's category."""
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
    image_url: str
    """The address of the product's picture."""
    additional_image_urls: list[str] | None
    """Addresses of further pictures."""
    group_id: str | None
    """The id that the variants of one product share."""
    created_at: str | None
    """The product's date, in UTC (ISO 8601)."""
    attributes: dict[str, Any]
    """Further facts by name."""
    similarity_score: float | None
    """The cosine between the search and the product's picture, −1 to 1, to six digits. With CLIP's
    base models 0.25 to 0.35 is a good match for words. Null if the picture was not compared."""
    score: float | None = None
    """What results are ordered by, 0 to 1. Null if there was nothing to search by."""
    matched: list[Part] = field(default_factory=list)
    """What of the product the search found: one of its codes, its words, its looks."""
    variants: int = 1
    """The number of products of its group that meet the filters, itself among them."""
    explanation: Explanation | None = None
    """Why the product is here, if that was asked for."""

    @classmethod
    def of(cls, payload: Mapping[str, Any], score: float | None) -> "Hit":
        """The hit of a live point, by its payload; fields that the product lacks are None."""
        shown: dict[str, Any] = {name: payload.get(name) for name in _SHOWN}
        shown["attributes"] = payload.get("attributes", {})
        if "created_at" in payload:  # written as in the answers about products
            shown["created_at"] = payload["created_at"].replace("+00:00", "Z")
        if payload.get("ungrouped"):  # stands under its own id in the index
            shown["group_id"] = None
        return cls(product_id=payload["id"], similarity_score=rounded(score), **shown)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The product's own fields by name, as filters look at them."""
        return {name: getattr(self, name) for name in _SHOWN}


def rounded(score: float | None) -> float | None:
    """A score as it is shown."""
    return None if score is None else round(score, SCORE_DIGITS)


_SHOWN: Final = tuple(
    each.name
    for each in fields(Hit)
    if each.name
    not in ("product_id", "similarity_score", "score", "matched", "variants", "explanation")
)

PAYLOAD_OF_HIT: Final = ("id", "ungrouped", *_SHOWN)
"""The fields of a point's payload that `Hit.of` reads; nothing else is read for a search."""
