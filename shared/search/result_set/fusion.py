"""One score of two: how well words match, and how near pictures are. Pure.

Both sides are first brought to 0…1. Then either their weighted sum is the score, or the sum of
their reciprocal ranks, which looks at no score at all.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_NARROW: Final = 1e-3
"""The least distance between cosines that are mapped to scores."""

Scores = NDArray[np.float64]
"""One for each product; NaN if that side didn't find it."""

_RANK_OFFSET: Final = 60
"""Of reciprocal rank fusion, as Cormack, Clarke and Büttcher had it (SIGIR 2009)."""


def words_scores(ranked: Scores, whole: NDArray[np.bool_]) -> Scores:
    """BM25 against the best hit; products that match only some of the words come below all that
    match every one of them.

    `whole`: whether the product matches every word.
    """
    best = np.nanmax(ranked, initial=0.0)
    if best <= 0:
        return np.where(np.isnan(ranked), np.nan, np.where(whole, 1.0, 0.5))
    return np.where(whole, 0.5 + 0.5 * ranked / best, 0.5 * ranked / best)


def looks_scores(cosines: Scores, floor: float, best: float) -> Scores:
    """From cosines to 0…1, rising all the way so that no order is lost.

    0.1 is as near as unrelated products are (`floor`), 0.9 as near as this model ever finds a
    product (`best`), both cosines.
    """
    floor = min(max(floor, -1.0 + _NARROW), 1.0 - 2 * _NARROW)
    best = min(max(best, floor + _NARROW), 1.0 - _NARROW)
    scores: Scores = np.interp(cosines, [-1.0, floor, best, 1.0], [0.0, 0.1, 0.9, 1.0])
    return scores


def weighted_sum(words: Scores, looks: Scores, weight: float) -> Scores:
    """`weight` (0…1) times the words' score, and the rest of 1 times the looks'."""
    sums: Scores = weight * np.nan_to_num(words) + (1 - weight) * np.nan_to_num(looks)
    return sums


def reciprocal_ranks(words: Scores, looks: Scores) -> Scores:
    """Reciprocal rank fusion with k = 60, scaled so that the first of both sides has 1."""
    return (_reciprocals(words) + _reciprocals(looks)) * (_RANK_OFFSET + 1) / 2


def _reciprocals(scores: Scores) -> Scores:
    """1 / (60 + rank) of those found, equal scores sharing the best rank; 0 of the others."""
    found = ~np.isnan(scores)
    ordered = -np.sort(-scores[found])
    ranks = 1 + np.searchsorted(-ordered, -np.nan_to_num(scores), side="left")
    reciprocals: Scores = np.where(found, 1 / (_RANK_OFFSET + ranks), 0.0)
    return reciprocals


def strict_floor(best: float, floor: float | None) -> float:
    """The least cosine of products that are near the best one of all, too.

    `best`: the cosine of the nearest product, whatever the filters; `floor`: that of unrelated
    products, None if it isn't known.
    """
    return best - 0.1 * abs(best) if floor is None else max(floor, best - 0.25 * (best - floor))
