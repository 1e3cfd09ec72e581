"""A snapshot of a tenant's products as columns. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.models.change import Aspect
from shared.models.search.filters import AnyOf, Filters, Within
from shared.models.terms import field_term
from shared.search.columns.values import Column, Mask, Numbers, Positions

MAX_PRODUCTS: Final = 50_000
"""Live products of a tenant. Beyond, the table would take a search's time to build."""

_NOT_IN_STOCK: Final = [
    field_term("availability", other) for other in ("out_of_stock", "preorder", "backorder")
]
_COMPARISONS: Final = {
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
}

Names = NDArray[np.object_]
Ranks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The answer in the place of columns if a tenant has more live products than `limit`."""

    limit: int = MAX_PRODUCTS


@dataclass(frozen=True, eq=False)
class Columns:
    """All live products of a tenant at one moment. Every array is read at positions, from 0.

    Nothing in it ever changes, so that threads share it. Positions stand in no order, and some are
    of no product (`live` tells): of products that were deleted, and of group ids that are no
    product's id.
    """

    ids: Names
    """Product ids."""
    live: Mask
    """Whether there is a product at the position. If not, the other arrays say nothing of it."""
    groups: NDArray[np.int64]
    """A number for each group; a product without a group is one by itself."""
    prices: Numbers
    """What the shopper pays: the sale price if there is one, else the price; NaN if neither."""
    created: NDArray[np.int64]
    """`created_at` in microseconds since 1970; the least number there is for none."""
    names: Names
    """Folded names. `name_ranks` sorts by them."""
    fields: Mapping[str, Column]
    """By name, as facets are named: `category`, `brand`, `availability` (in stock if the shop said
    nothing), `attributes.color`…"""
    left_out: frozenset[str]
    """Attributes that no column is held of, because there are too many of them or their values
    take too much memory: nothing can be told of them here."""
    generation: Mapping[Aspect, str] | None
    """The generation that this snapshot stands for; None if the ledger knew none or was away."""
    position_by_id: dict[str, int] = field(repr=False)
    """Shared with later snapshots, so their positions are in it too: see `position_of`."""

    @cached_property
    def live_positions(self) -> Positions:
        """The positions of all products, rising."""
        return np.flatnonzero(self.live).astype(np.int64)

    def __len__(self) -> int:
        """The number of live products."""
        return len(self.live_positions)

    def position_of(self, product_id: str) -> int | None:
        """The position of a live product, or None."""
        position = self.position_by_id.get(product_id)
        is_known = position is not None and position < len(self.live) and self.live[position]
        return position if is_known else None

    def positions_of(self, ids: Sequence[str]) -> Positions:
        """The position of each id; −1 for one that is no live product."""
        known, size = self.position_by_id.get, len(self.live)
        found = np.fromiter((known(each, -1) for each in ids), np.int64, len(ids))
        found[found >= size] = -1  # of a later snapshot
        held = found >= 0
        found[held] = np.where(self.live[found[held]], found[held], -1)
        return found

    @cached_property
    def id_ranks(self) -> Ranks:
        """The place of each id among all ids in order, which breaks ties."""
        ranks = np.empty(len(self.ids), np.int64)
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        ranks[np.array(order, np.int64)] = np.arange(len(order))
        return ranks

    @cached_property
    def name_ranks(self) -> Ranks:
        """The place of each folded name in order; equal names have equal ranks."""
        ranks = {name: rank for rank, name in enumerate(sorted(set(self.names)))}
        return np.array([ranks[name] for name in self.names], np.int64)

    @cached_property
    def buyable(self) -> Mask:
        """Whether the product can be bought: it is not out of stock."""
        availability = self.column("availability")
        if availability is None:
            return self.live
        return ~availability.having([field_term("availability", "out_of_stock")])

    def column(self, name: str) -> Column | None:
        """The column of a field; None if no product has it. Raises `NotHeld`."""
        if name in self.left_out:
            raise NotHeld(name)
        return self.fields.get(name)

    def numbers(self, name: str) -> Numbers | None:
        """The numbers of a field, NaN where a product has none; None if none has. Raises
        `NotHeld`."""
        column = self.column(name)
        return column.numbers if column is not None and column.has_numbers else None

    def matching(self, filters: Filters) -> Mask:
        """By position whether there is a product that meets the filters, as Qdrant sees them.

        Raises `NotHeld` for a filter on an attribute that was left out.
        """
        mask = self.live.copy()
        for condition in filters.conditions():
            if isinstance(condition, AnyOf):
                mask &= self._having(condition)
            else:
                mask &= self._within(condition)
        return mask

    def _having(self, condition: AnyOf) -> Mask:
        column = self.column(condition.attribute)
        if condition.attribute == "availability":
            # A product that says nothing is in stock.
            return ~column.having(_NOT_IN_STOCK) if column is not None else self.live
        if column is None:
            return np.zeros(len(self.live), np.bool_)
        return column.having(condition.terms)

    def _within(self, condition: Within) -> Mask:
        of_price = condition.attribute == "price"
        numbers = self.prices if of_price else self.numbers(condition.attribute)
        if numbers is None:
            return np.zeros(len(self.live), np.bool_)
        mask = np.ones(len(self.live), np.bool_)
        for name, bound in condition.bounds.bounds().items():
            mask &= _COMPARISONS[name](numbers, bound)  # NaN is neither above nor below
        return mask


class NotHeld(Exception):
    """Nothing can be told of a field, because its column was left out. `args`: the field."""
