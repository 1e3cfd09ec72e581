"""The vectors of a point, each under its name. Pure.

Dense vectors travel as one set: writes, backups, restores, rebuilds pass it on as it is, so that
a further vector is added here and in the collection's set-up. The sparse vector of the words is no
part of it, because it is made anew from the product's fields at any time.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

IMAGE: Final = "image"
"""The vector of the product's picture, which searches by looks compare."""

WORDS: Final = "words"
"""The sparse vector of the product's words, which searches by words compare. The payload's list of
the same name says who matches."""

DENSE: Final = (IMAGE,)
"""The names of the dense vectors."""

DenseVector = NDArray[np.float32]


class VectorSet(Mapping[str, DenseVector]):
    """Vectors by name: float32 of shape (n,), contiguous, every number finite.

    An empty set belongs to a tombstone, or to a point whose vectors were not asked for.
    """

    __slots__ = ("_by_name",)

    def __init__(self, by_name: Mapping[str, ArrayLike] = MappingProxyType({})) -> None:
        """Raises ValueError if a vector has another shape or holds a number that isn't finite:
        here it concerns one product, in Qdrant it would concern the whole batch.
        """
        self._by_name = {name: _checked(name, vector) for name, vector in by_name.items()}

    @classmethod
    def of_image(cls, embedding: ArrayLike) -> Self:
        """The set of a live product. Raises ValueError as the constructor does."""
        return cls({IMAGE: embedding})

    @classmethod
    def of_record(cls, vector: object) -> Self:
        """The vectors of a point that Qdrant has answered with."""
        if not isinstance(vector, Mapping):
            return cls()
        return cls({name: vector[name] for name in vector if name != WORDS})

    def __getitem__(self, name: str) -> DenseVector:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def as_json(self) -> dict[str, Any]:
        """The set as Qdrant's REST API takes it; vectors are still numpy arrays."""
        return dict(self._by_name)


def _checked(name: str, vector: ArrayLike) -> DenseVector:
    # Contiguous single precision is written to JSON without a Python float in between.
    numbers = np.ascontiguousarray(vector, dtype=np.float32)
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"the vector {name} has one dimension, not the shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"the vector {name} holds finite numbers only")
    return numbers
