"""The result set of a query: the products that it means, with their scores. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.search.result_set.columns import Columns, Positions

MAX_RESULTS: Final = 1000
"""The most products of a result set. A set that has so many is cut: there may be more."""

NO_CODE: Final = 0
CODE_BEGINS: Final = 1
"""The product has a code that begins with the query."""
CODE_EQUALS: Final = 2
"""The product has a code that is the query."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A product of a result set before its fields are looked at, with its scores.

    `words` (0 to 1) and `looks` (a cosine) are None if that side didn't find the product.
    """

    product_id: str
    score: float
    words: float | None = None
    looks: float | None = None
    tier: int = NO_CODE


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """Products by position, each once, in no order."""

    positions: Positions
    scores: NDArray[np.float64]
    tiers: NDArray[np.int64]
    cut: bool
    """Whether there may be more products, beyond the `MAX_RESULTS` best."""

    @classmethod
    def of(
        cls, found: Sequence[Scored], columns: Columns, *, cut: bool
    ) -> tuple["ResultSet", Sequence[Scored]]:
        """The set of those that are live products by the columns, and what was found of each."""
        positions = columns.positions_of([each.product_id for each in found])
        known = np.flatnonzero(positions >= 0)
        live = [found[row] for row in known.tolist()]
        return cls(
            positions[known],
            np.asarray([each.score for each in live], np.float64),
            np.asarray([each.tier for each in live], np.int64),
            cut,
        ), live

    @classmethod
    def of_all(cls, columns: Columns) -> "ResultSet":
        """All products, none better than another: what a request without a source looks through."""
        size = len(columns.ids)
        positions = np.arange(size, dtype=np.int64)
        return cls(positions, np.zeros(size), np.zeros(size, np.int64), cut=False)
