"""Facets: how many products a request would find with one more condition. Pure."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.models.search.answers import Facet, PriceFacet, PriceRange, ValueCount, ValueFacet
from shared.models.search.hits import Relation
from shared.search.result_set.columns import Columns, Positions
from shared.search.result_set.conditions import PRICE

MAX_VALUES: Final = 100
"""The most values that a facet lists: those with the highest counts."""

_MOST_RANGES: Final = 6
_LEAST_STEP: Final = 1e-300
"""Below it floats lose their digits."""


def facet(
    columns: Columns, positions: Positions, name: str, *, grouped: bool, relation: Relation
) -> Facet:
    """The facet `name` of these products; of a group all variants count as one."""
    groups = columns.groups[positions] if grouped else positions
    if name == PRICE:
        return _prices(columns.prices[positions], groups, relation)
    column = columns.column(name)
    if column is None:
        return ValueFacet([], relation)
    rows, codes = column.at(positions)
    counts = _distinct(groups[rows], codes, len(column.terms))
    present = np.flatnonzero(counts)
    # Ties by the term, so that no facet changes its order from one answer to the next.
    most = sorted(present.tolist(), key=lambda code: (-counts[code], column.terms[code]))
    values = [ValueCount(column.values[code], int(counts[code])) for code in most[:MAX_VALUES]]
    return ValueFacet(values, relation)


def _distinct(groups: NDArray[np.int64], codes: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many distinct groups there are for each code."""
    pairs = np.unique(groups * size + codes)
    return np.bincount(pairs % size, minlength=size) if size else np.zeros(0, np.int64)


def _prices(
    prices: NDArray[np.float64], groups: NDArray[np.int64], relation: Relation
) -> PriceFacet:
    """Each range ends at prices that products have: as conditions, both of its ends included, the
    ranges neither leave a product out nor count one twice."""
    priced = ~np.isnan(prices)
    prices, groups = prices[priced], groups[priced]
    if not len(prices):
        return PriceFacet(None, None, [], relation)
    lowest, highest = float(prices.min()), float(prices.max())
    step = _step(highest - lowest)
    buckets = np.floor(prices / step)
    ranges = []
    for bucket in np.unique(buckets):
        within = buckets == bucket
        low, high = float(prices[within].min()), float(prices[within].max())
        ranges.append(PriceRange(low, high, len(np.unique(groups[within]))))
    return PriceFacet(lowest, highest, ranges, relation)


def _step(span: float) -> float:
    """A round number, so that at most `_MOST_RANGES` steps and a begun one cover the span."""
    if span <= 0:
        return math.inf
    least = max(span / _MOST_RANGES, _LEAST_STEP)
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least)
