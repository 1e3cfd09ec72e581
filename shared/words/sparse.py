"""Terms as the dimensions of a sparse vector. Pure."""

import zlib
from collections.abc import Mapping
from typing import NamedTuple


class SparseVector(NamedTuple):
    """A vector of few dimensions: their indices (u32, ascending, each once) and their values."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


def dimension(term: str) -> int:
    """The term's dimension, a u32, the same in every process and release.

    CRC-32 of its UTF-8. One of 50,000 terms shares its dimension with another at odds of 1 to
    86,000, and a pair among all of them at 1 to 3; then a query for the one also scores the other,
    but membership, which compares the terms themselves, leaves those products out.
    """
    return zlib.crc32(term.encode("utf-8", "replace"))


def sparse_vector(weights: Mapping[int, float]) -> SparseVector:
    """The vector of weights by dimension."""
    indices = tuple(sorted(weights))
    return SparseVector(indices, tuple(weights[index] for index in indices))
