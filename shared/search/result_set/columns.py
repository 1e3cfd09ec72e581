"""The columns of a tenant's live products that a result set is filtered, counted and sorted by.

A product has a position, from 0; every array is read at positions. Nothing of a snapshot ever
changes, so that threads share it.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FacetValue = str | bool | int | float
Positions = NDArray[np.int64]


class ValueColumn(Protocol):
    """The values of one field: none, one or several for each product."""

    @property
    def terms(self) -> Sequence[str]:
        """What filters compare (`shared/models/terms.py`), each once. Codes are places in it."""
        ...

    @property
    def values(self) -> Sequence[FacetValue]:
        """What a facet shows of each term: one of the spellings that products have."""
        ...

    def codes_of(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """The codes of those terms that a product has."""
        ...

    def at(self, positions: Positions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The values at some positions: for each a row (an index of `positions`) and a code. No
        row has a code twice."""
        ...


class Columns(Protocol):
    """A snapshot of all live products of a tenant."""

    @property
    def ids(self) -> NDArray[np.object_]:
        """The product ids, by position."""
        ...

    @property
    def live_positions(self) -> Positions:
        """The positions that products have, rising."""
        ...

    @property
    def id_ranks(self) -> NDArray[np.int64]:
        """The place of each id among all ids in order: the last word where products tie."""
        ...

    @property
    def groups(self) -> NDArray[np.int64]:
        """A number for each group, not negative; a product without a group is one by itself."""
        ...

    @property
    def prices(self) -> NDArray[np.float64]:
        """What the shopper pays; NaN if there is no price."""
        ...

    @property
    def created(self) -> NDArray[np.int64]:
        """`created_at` in microseconds since 1970."""
        ...

    @property
    def name_ranks(self) -> NDArray[np.int64]:
        """The place of each folded name in order; equal names have equal ranks."""
        ...

    @property
    def buyable(self) -> NDArray[np.bool_]:
        """Whether the product can be bought: not one that is out of stock."""
        ...

    def positions_of(self, ids: Sequence[str]) -> Positions:
        """The position of each id; −1 for one that is no live product."""
        ...

    def column(self, name: str) -> ValueColumn | None:
        """The values of `category` (each prefix of a path is one), `brand`, `availability` (absent
        counts as in stock) or `attributes.<name>`; None if no product has any."""
        ...

    def numbers(self, name: str) -> NDArray[np.float64] | None:
        """The numbers of `attributes.<name>`, NaN where a product has none; None if none has."""
        ...
