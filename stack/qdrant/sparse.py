"""Sparse vectors: from Qdrant's REST form to the engine's, and back. Pure."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import qdrant_edge as edge

from stack.qdrant.conditions import members
from stack.qdrant.refusals import invalid, malformed, not_served

_MAX_INDEX: Final = 2**32 - 1


def sparse_vector(value: object) -> edge.SparseVector:
    """The engine's vector.

    Raises Refusal 400 or 422 for one that a real server refuses: the engine panics over indices
    without values, and keeps indices that come twice and values that are no numbers.
    """
    vector = members(value, frozenset({"indices", "values"}), "sparse vector")
    indices, values = vector.get("indices"), vector.get("values")
    if not isinstance(indices, list) or not isinstance(values, list):
        raise malformed("a sparse vector needs `indices` and `values` as lists")
    if len(indices) != len(values):
        raise invalid("[values: must be the same length as indices]")
    if not all(type(index) is int and 0 <= index <= _MAX_INDEX for index in indices):
        raise malformed("`indices` of a sparse vector are whole numbers of 32 bits")
    if len(set(indices)) != len(indices):
        raise invalid("[indices: must be unique]")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in values):
        raise malformed("`values` of a sparse vector are finite numbers")
    return edge.SparseVector(indices, values)


def described(vector: edge.SparseVector) -> dict[str, Any]:
    """The vector as an answer holds it."""
    return {"indices": vector.indices, "values": np.asarray(vector.values, np.float32)}


def check_params(value: object) -> None:
    """Sparse vectors are served with the modifier `idf`. Raises Refusal 400 or 501."""
    params: Mapping[str, Any] = members(value, frozenset({"modifier"}), "sparse vector params")
    if params.get("modifier") != "idf":
        raise not_served("sparse vectors without the modifier `idf`")


def engine_params() -> edge.EdgeSparseVectorParams:
    """The engine's, of such a vector."""
    return edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)
