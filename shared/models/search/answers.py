"""The whole answer to a search."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import ConfigDict

from shared.models.search.hits import Hit, QueryType, Relation, Side

_SHOWN = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)

Counts = Literal["products", "variants"]


@dataclass(frozen=True, slots=True)
class ValueCount:
    """A value of a facet."""

    __pydantic_config__ = _SHOWN

    value: bool | int | float | str
    """The value, as most products spell it."""
    count: int
    """How many products the request would find with this value alone."""


@dataclass(frozen=True, slots=True)
class ValueFacet:
    """The values of one field, the most frequent first: at most 100."""

    __pydantic_config__ = _SHOWN

    values: list[ValueCount]
    """The values that products have."""
    relation: Relation = "eq"
    """How counts are to be read: exact, or at least so many."""


@dataclass(frozen=True, slots=True)
class PriceRange:
    """Prices that are near each other."""

    __pydantic_config__ = _SHOWN

    min: float
    """The lowest price in the range: `price_min` of a request for it."""
    max: float
    """The highest price in the range: `price_max` of a request for it."""
    count: int
    """How many products the request would find within the range."""


@dataclass(frozen=True, slots=True)
class PriceFacet:
    """The prices that shoppers pay."""

    __pydantic_config__ = _SHOWN

    min: float | None
    """The lowest price; null if no product has one."""
    max: float | None
    """The highest price; null if no product has one."""
    ranges: list[PriceRange]
    """The prices in a handful of ranges, those without a product left out."""
    relation: Relation = "eq"
    """How counts are to be read: exact, or at least so many."""


Facet = ValueFacet | PriceFacet


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer's part that stays the same while the index does.

    `generation`: of the index that it stands for, None if that isn't known.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    results: list[Hit]
    total: int
    relation: Relation
    facets: dict[str, Facet]
    generation: str | None
    counts: Counts = "products"
    degraded: list[Side] = field(default_factory=list)
    corrected: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """An answer as it is given. `cached`: whether at least the result set came from the cache."""

    query_type: QueryType
    top_k: int
    answered: Answered
    execution_time_ms: float
    cached: bool

    @property
    def results(self) -> list[Hit]:
        """The products of the page."""
        return self.answered.results
