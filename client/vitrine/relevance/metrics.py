"""The metrics of one query: pure functions of the products found and of their ratings."""

import math
from collections.abc import Iterable, Mapping, Sequence

Ratings = Mapping[str, float]
"""A query's ratings by product id: 0 for what doesn't fit, and the more the better it fits."""


def ndcg(found: Sequence[str], ratings: Ratings, depth: int = 10) -> float | None:
    """The normalised discounted cumulative gain of the first `depth` products, from 0 to 1.

    The gain is the rating itself, and the product of rank r counts 1 / log2(r + 1) of it, as in
    trec_eval (Järvelin and Kekäläinen, 2002). A product without a rating gains nothing. None if
    no product is rated above 0, because then no answer is better than another.
    """
    best = _dcg(sorted(ratings.values(), reverse=True)[:depth])
    if best == 0:
        return None
    return _dcg(ratings.get(product, 0.0) for product in found[:depth]) / best


def ndcg_of_rated(found: Sequence[str], ratings: Ratings, depth: int = 10) -> float | None:
    """Likewise of the rated products alone, in the order in which they were found.

    What was found and never rated is passed over rather than counted as wrong.
    """
    return ndcg([product for product in found if product in ratings], ratings, depth)


def recall(found: Sequence[str], ratings: Ratings, depth: int = 100) -> float | None:
    """The share of products rated above 0 that are among the first `depth`.

    With more than `depth` such products, `depth` of them are all that can be found. None if there
    is none.
    """
    fitting = {product for product, rating in ratings.items() if rating > 0}
    if not fitting:
        return None
    return len(fitting.intersection(found[:depth])) / min(len(fitting), depth)


def _dcg(gains: Iterable[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
