"""The conditions of a request, met or not by rows of a result set. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.search.result_set.columns import Columns, Positions

PRICE = "price"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these terms (`shared/models/terms.py`) is among the product's."""

    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The product has a number, and it lies within these bounds; None: no bound."""

    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


Condition = AnyOf | Within
Conditions = Mapping[str, Condition]
"""By the name of the facet that shows the field: `category`, `brand`, `availability`, `price` or
`attributes.<name>`. All of them have to be met."""


def met(columns: Columns, positions: Positions, name: str, condition: Condition) -> Mask:
    """Whether each of these products meets the condition on this field."""
    if isinstance(condition, Within):
        numbers = columns.prices if name == PRICE else columns.numbers(name)
        if numbers is None:
            return np.zeros(len(positions), np.bool_)
        return _within(numbers[positions], condition)
    mask = np.zeros(len(positions), np.bool_)
    column = columns.column(name)
    if column is not None:
        rows, codes = column.at(positions)
        mask[rows[np.isin(codes, column.codes_of(condition.terms))]] = True
    return mask


def _within(numbers: NDArray[np.float64], bounds: Within) -> Mask:
    mask: Mask = ~np.isnan(numbers)
    # A comparison with NaN is false without a word.
    if bounds.gte is not None:
        mask &= numbers >= bounds.gte
    if bounds.gt is not None:
        mask &= numbers > bounds.gt
    if bounds.lte is not None:
        mask &= numbers <= bounds.lte
    if bounds.lt is not None:
        mask &= numbers < bounds.lt
    return mask
