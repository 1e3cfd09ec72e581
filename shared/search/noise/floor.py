"""The noise floor of looks: which cosines unrelated things have, in one model and catalogue. Pure.

CLIP never says "nothing": every picture has some cosine with every query, and which cosines mean
something differs from model to model and from query to query. A word that a model does not know
may be near every picture alike. So a cosine is read by how far it stands above the query's mean
cosine with the catalogue, which is the query's product with the mean of the pictures' vectors, and
costs one multiplication.

The catalogue's own products say how far chance reaches: the name of one and the picture of another
are unrelated but for a few, and the name of one and its own picture are as near as a query gets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Source = Literal["text", "picture"]

CHANCE: Final = 0.9
"""The share of unrelated pairs that lie below the floor (docs/decisions/0019-noise-floor.md)."""

_BEST: Final = 0.5
"""The share of the products that are less near to their own name than a best match is."""

_LEAST_TRUST: Final = 0.02
"""So that looks order what words leave equal."""

_LEAST_SPAN: Final = 1e-3
"""Between floor and best; a model that knows nothing of a catalogue has none of its own."""


class Scale(NamedTuple):
    """Where chance ends, and where the best match lies."""

    floor: float
    best: float


@dataclass(frozen=True, slots=True, eq=False)
class NoiseFloor:
    """One tenant's scales of looks in one model's collection, as distances above a query's mean.

    `mean`: of the sampled pictures' vectors, float32 of shape (dimensions,). `trust`: how well the
    model knows the products by their names, from nearly 0 (no better than chance) to 1 (each
    picture is nearest to its own name). `products`: how many the tenant had when it was measured.
    `version` tells two measurements apart.
    """

    mean: Matrix
    text: Scale
    picture: Scale
    trust: float
    products: int
    version: str

    @classmethod
    def measured(cls, names: Matrix, pictures: Matrix, products: int, version: str) -> Self:
        """The scale by the vectors of names and pictures of the same unrelated products.

        Both float32 of shape (n, dimensions), n ≥ 2, their rows of length 1.
        """
        mean = pictures.mean(axis=0, dtype=np.float64).astype(np.float32)
        by_name = _above_mean(names, pictures, mean)
        by_picture = _above_mean(pictures, pictures, mean)
        others = ~np.eye(len(pictures), dtype=bool)
        return cls(
            mean,
            _scale(by_name[others], by_name.diagonal()),
            _scale(by_picture[others], by_picture.diagonal()),
            _trust(by_name),
            products,
            version,
        )

    def cosines(self, query: Matrix, sources: Sequence[Source]) -> Scale:
        """Where chance ends and where the best match lies, as cosines with this query vector."""
        mean = float(query @ self.mean)
        floor, best = self._scale(sources)
        return Scale(mean + floor, mean + max(best, floor + _LEAST_SPAN))

    def _scale(self, sources: Sequence[Source]) -> Scale:
        """Of a mix, the lower one of each: a mix is less near to anything than its sources are."""
        scales = [self.text if source == "text" else self.picture for source in sources]
        return Scale(min(each.floor for each in scales), min(each.best for each in scales))


def _above_mean(queries: Matrix, pictures: Matrix, mean: Matrix) -> Matrix:
    above: Matrix = queries @ pictures.T - (queries @ mean)[:, np.newaxis]
    return above


def _scale(unrelated: Matrix, own: Matrix) -> Scale:
    return Scale(float(np.quantile(unrelated, CHANCE)), float(np.quantile(own, _BEST)))


def _trust(by_name: Matrix) -> float:
    """How often a name is nearer to its own picture than to another's, above what chance gives."""
    own = by_name.diagonal()[:, np.newaxis]
    count = len(by_name)
    right = ((by_name < own).sum() + 0.5 * ((by_name == own).sum() - count)) / count / (count - 1)
    # The share of pairs in the right order, by chance: a half, give or take two deviations.
    chance = 0.5 + 2 / np.sqrt(12 * count)
    return float(np.clip((right - chance) / (1 - chance), _LEAST_TRUST, 1.0))
