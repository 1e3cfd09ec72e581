"""What a search answers with: hits, rankings and the whole answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, NamedTuple

from pydantic import ConfigDict

SCORE_DIGITS: Final = 6
"""Of a cosine that is shown: its seventh depends on the order in which a server adds up."""

QueryType = Literal["text", "image", "product", "mixed"]


class Ranked(NamedTuple):
    """A product that answers a search, and the score that its hit shows."""

    product_id: str
    score: float


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
    similarity_score: float
    """The cosine between the search and the product's picture, −1 to 1, to six digits. With CLIP's
    base models 0.25 to 0.35 is a good match for words."""

    @classmethod
    def of(cls, payload: Mapping[str, Any], score: float) -> "Hit":
        """The hit of a live point, by its payload; fields that the product lacks are None."""
        shown: dict[str, Any] = {name: payload.get(name) for name in _SHOWN}
        shown["attributes"] = payload.get("attributes", {})
        if "created_at" in payload:  # written as in the answers about products
            shown["created_at"] = payload["created_at"].replace("+00:00", "Z")
        if payload.get("ungrouped"):  # stands under its own id in the index
            shown["group_id"] = None
        return cls(product_id=payload["id"], similarity_score=round(score, SCORE_DIGITS), **shown)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The product's own fields by name, as filters look at them."""
        return {name: getattr(self, name) for name in _SHOWN}

    @property
    def ranked(self) -> Ranked:
        """Its id and its score."""
        return Ranked(self.product_id, self.similarity_score)


_SHOWN: Final = tuple(
    field.name for field in fields(Hit) if field.name not in ("product_id", "similarity_score")
)

PAYLOAD_OF_HIT: Final = ("id", "ungrouped", *_SHOWN)
"""The fields of a point's payload that `Hit.of` reads; nothing else is read for a search."""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Results in falling order of similarity; `cached`: whether at least their ranking came from
    the cache."""

    query_type: QueryType
    top_k: int
    results: Sequence[Hit]
    execution_time_ms: float
    cached: bool
