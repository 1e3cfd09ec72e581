"""The conditions of a request, met or not by rows of a result set. Pure."""

import numpy as np
from numpy.typing import NDArray

from shared.models.search.filters import Condition, Range, Within
from shared.search.result_set.columns import Columns, Positions

PRICE = "price"

Mask = NDArray[np.bool_]


def met(columns: Columns, positions: Positions, condition: Condition) -> Mask:
    """Whether each of these products meets the condition."""
    if isinstance(condition, Within):
        is_price = condition.attribute == PRICE
        numbers = columns.prices if is_price else columns.numbers(condition.attribute)
        if numbers is None:
            return np.zeros(len(positions), np.bool_)
        return _within(numbers[positions], condition.bounds)
    mask = np.zeros(len(positions), np.bool_)
    column = columns.column(condition.attribute)
    if column is not None:
        rows, codes = column.at(positions)
        mask[rows[np.isin(codes, column.codes_of(condition.terms))]] = True
    return mask


def _within(numbers: NDArray[np.float64], bounds: Range) -> Mask:
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
