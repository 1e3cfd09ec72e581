"""The result set of a query: the products that it means, with their scores. Pure."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from shared.models.search.hits import Side
from shared.search.result_set.columns import Columns, Positions

MAX_RESULTS: Final = 1000
"""The most products of a result set. A set that has so many is cut: there may be more."""

NO_CODE: Final = 0
CODE_BEGINS: Final = 1
"""The product has a code that begins with the query."""
CODE_EQUALS: Final = 2
"""The product has a code that is the query."""


@dataclass(frozen=True, slots=True)
class Found:
    """The products that a query means, before their fields are looked at: lists side by side.

    They stand in falling order of tier and score, equal ones in the order of their ids.

    `words` (0 to 1) and `looks` (cosines) are None of products that this side didn't find.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    ids: list[str]
    scores: list[float]
    words: list[float | None]
    looks: list[float | None]
    tiers: list[int]
    cut: bool
    """Whether there may be more products, beyond the `MAX_RESULTS` best."""
    words_weight: float = 0.0
    """The share of words in the scores."""
    floor: float = 0.0
    """The cosine at which looks begin to count."""
    best: float = 1.0
    """The cosine at which looks count in full."""
    degraded: list[Side] = field(default_factory=list)
    """The sides that didn't answer."""
    corrected: dict[str, str] = field(default_factory=dict)
    """What was looked for beside words that the catalogue doesn't know."""

    @property
    def is_whole(self) -> bool:
        """Whether the lists are equally long, with each product once."""
        lengths = {len(each) for each in (self.scores, self.words, self.looks, self.tiers)}
        return lengths == {len(self.ids)} == {len(set(self.ids))}


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """Products by position, each once, in no order."""

    positions: Positions
    scores: NDArray[np.float64]
    tiers: NDArray[np.int64]
    places: NDArray[np.int64]
    """Where each stands in the lists of what was found."""
    cut: bool
    """Whether there may be more products, beyond the `MAX_RESULTS` best."""

    @classmethod
    def of(cls, found: Found, columns: Columns) -> "ResultSet":
        """The set of those that are live products by the columns."""
        positions = columns.positions_of(found.ids)
        live = np.flatnonzero(positions >= 0)
        return cls(
            positions[live],
            np.asarray(found.scores, np.float64)[live],
            np.asarray(found.tiers, np.int64)[live],
            live,
            found.cut,
        )

    @classmethod
    def of_all(cls, columns: Columns) -> "ResultSet":
        """All products, none better than another: what a request without a source looks through."""
        positions = columns.live_positions
        size = len(positions)
        return cls(positions, np.zeros(size), np.zeros(size, np.int64), np.arange(size), cut=False)
