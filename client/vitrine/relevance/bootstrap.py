"""How far a mean over queries can be trusted: by drawing the queries again, many times."""

import random
from collections.abc import Sequence
from statistics import fmean
from typing import Final, NamedTuple

_RESAMPLES: Final = 2_000
_OUTSIDE: Final = 0.025
"""Share of the resamples below the interval, and above it: 95 % lie within."""


class Estimate(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float
    queries: int
    """Queries behind it."""

    @property
    def differs_from_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def estimate(values: Sequence[float], seed: int) -> Estimate | None:
    """The values' mean with its percentile bootstrap interval; None without a value.

    The same seed gives the same interval. For the difference of two runs, give the differences of
    the queries, because the same query is easy or hard in both.
    """
    if not values:
        return None
    rng = random.Random(seed)  # noqa: S311 - chance for statistics
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    cut = round(_OUTSIDE * _RESAMPLES)
    return Estimate(fmean(values), means[cut], means[-1 - cut], len(values))
