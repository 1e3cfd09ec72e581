"""Vectors that lie as those of a catalogue do, for studies without a real catalogue.

Embeddings of pictures fill no sphere evenly: all share a direction, kinds of products lie close
together, and their differences have far fewer than 512 dimensions. Words lie apart from all
pictures, at a cosine around 0.3, which is the hardest case for a graph that was built on pictures.
"""

from typing import Final

import numpy as np

from shared.qdrant.recall import Vectors, away_from, unit

DIMENSIONS: Final = 512
"""Numbers in a vector of ViT-B-32, the model that is measured."""

_KINDS: Final = 200
_OWN_DIMENSIONS: Final = 64
"""Of the differences between products; those of photos have some dozens."""

_SHARED, _OF_KIND, _OWN = 0.7, 0.55, 0.45


class DrawnCatalogue:
    """Vectors of products and of searches for them; the same ones for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._shared = unit(self._rng.normal(size=(1, DIMENSIONS)))
        self._kinds = unit(self._rng.normal(size=(_KINDS, DIMENSIONS)))
        self._spread = self._rng.normal(size=(_OWN_DIMENSIONS, DIMENSIONS))

    def products(self, count: int) -> Vectors:
        """Of pictures: two of one kind have a cosine around 0.8, of two kinds around 0.5."""
        kinds = self._kinds[self._rng.integers(_KINDS, size=count)]
        own = unit(self._rng.normal(size=(count, _OWN_DIMENSIONS)) @ self._spread)
        return unit(_SHARED * self._shared + _OF_KIND * kinds + _OWN * own)

    def pictures(self, count: int) -> Vectors:
        """Of searches by picture: drawn as products are, but none of them."""
        return self.products(count)

    def words(self, count: int) -> Vectors:
        """Of searches by words: away from all pictures, a little less from what they mean."""
        return away_from(self.products(count), self._rng)
