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
    """The product's price."""
    category: str | None
    """The product's category."""
    image_url: str
    """The address of the product's picture."""
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
        return cls(product_id=payload["id"], similarity_score=round(score, SCORE_DIGITS), **shown)

    @property
    def ranked(self) -> Ranked:
        """Its id and its score."""
        return Ranked(self.product_id, self.similarity_score)


_SHOWN: Final = tuple(
    field.name for field in fields(Hit) if field.name not in ("product_id", "similarity_score")
)

PAYLOAD_OF_HIT: Final = ("id", *_SHOWN)
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
