"""Bodies about points: from Qdrant's REST form to typed requests for the engine. Pure.

Every function raises `Refusal` for a body that it can't take.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge

from stack.qdrant.conditions import filter_of, members
from stack.qdrant.refusals import malformed, not_served
from stack.qdrant.sparse import sparse_vector

Selector = bool | list[str]
"""The members to return of a payload, or the vectors: all, none, or those of these names."""

Sizes = Mapping[str, int | None]
"""The sizes of a point's vectors by name; a sparse one has none."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Points for the engine, beside their vectors' sizes, so that these are checked beforehand."""

    points: Sequence[edge.Point]
    sizes: Sequence[Sizes]
    condition: edge.Filter | None


@dataclass(frozen=True, slots=True)
class UpdateVectors:
    """Vectors for points that are there; those of other names stay. Sizes as in `Upsert`."""

    points: Sequence[edge.PointVectors]
    sizes: Sequence[Sizes]
    condition: edge.Filter | None


@dataclass(frozen=True, slots=True)
class SetPayload:
    """Fields to set beside those that are there, or (`overwrite`) in place of all of them."""

    condition: edge.Filter
    payload: dict[str, Any]
    overwrite: bool


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Points by id."""

    ids: Sequence[int | str]
    with_payload: Selector
    with_vector: Selector


def upsert(body: object) -> Upsert:
    request = members(body, frozenset({"points", "update_filter"}), "upsert points")
    points, sizes = [], []
    for row in _list(request, "points"):
        point = members(row, frozenset({"id", "vector", "payload"}), "point")
        vectors, size = _vectors(point)
        sizes.append(size)
        points.append(edge.Point(point["id"], vectors, point.get("payload")))
    return Upsert(points, sizes, filter_of(request.get("update_filter")))


def _update_vectors(body: object) -> UpdateVectors:
    request = members(body, frozenset({"points", "update_filter"}), "update vectors")
    points, sizes = [], []
    for row in _list(request, "points"):
        point = members(row, frozenset({"id", "vector"}), "point")
        vectors, size = _vectors(point)
        sizes.append(size)
        points.append(edge.PointVectors(point["id"], vectors))
    if not points:
        raise malformed("`points` must not be empty")
    return UpdateVectors(points, sizes, filter_of(request.get("update_filter")))


def _vectors(point: Mapping[str, Any]) -> tuple[dict[str, Any], Sizes]:
    """A point's vectors for the engine, and their sizes."""
    vectors = point.get("vector")
    if "id" not in point or not isinstance(vectors, dict):
        raise malformed("a point needs `id`, and `vector` as an object")
    read = {name: _vector(vector) for name, vector in vectors.items()}
    return read, {
        name: len(vector) if isinstance(vector, list) else None for name, vector in read.items()
    }


def _vector(value: object) -> list[float] | edge.SparseVector:
    if isinstance(value, dict):
        return sparse_vector(value)
    if not isinstance(value, list) or (value and isinstance(value[0], list)):
        raise not_served("vectors other than single dense and sparse ones")
    return value


def batch(body: object) -> Sequence[SetPayload | UpdateVectors]:
    """Of all kinds of operations in a batch, those that set payloads or vectors are served."""
    request = members(body, frozenset({"operations"}), "batch update")
    served = frozenset({"set_payload", "overwrite_payload", "update_vectors"})
    operations: list[SetPayload | UpdateVectors] = []
    for row in _list(request, "operations"):
        operation = members(row, served, "batch update")
        if len(operation) != 1:
            raise malformed("an operation of a batch has one name")
        ((name, value),) = operation.items()
        operations.append(
            _update_vectors(value)
            if name == "update_vectors"
            else _set_payload(value, overwrite=name == "overwrite_payload")
        )
    return operations


def _set_payload(body: object, *, overwrite: bool) -> SetPayload:
    request = members(body, frozenset({"payload", "filter"}), "set payload")
    payload = request.get("payload")
    if not isinstance(payload, dict):
        raise malformed("`payload` must be an object")
    return SetPayload(_required_filter(request), payload, overwrite)


def deletion(body: object) -> edge.Filter:
    """The condition of the points to delete."""
    return _required_filter(members(body, frozenset({"filter"}), "delete points"))


def retrieve(body: object) -> Retrieve:
    request = members(body, frozenset({"ids", "with_payload", "with_vector"}), "retrieve points")
    return Retrieve(
        _list(request, "ids"),
        # A real server returns none unless asked, whatever its documentation says.
        _selector(request.get("with_payload", False)),
        _selector(request.get("with_vector", False)),
    )


def query(body: object) -> edge.QueryRequest:
    """The points nearest to a vector."""
    served = frozenset(
        {
            *("query", "using", "filter", "limit", "offset", "score_threshold"),
            *("with_payload", "with_vector", "params"),
        }
    )
    request = members(body, served, "query points")
    vector = request.get("query")
    if not isinstance(vector, list | dict) or (
        vector and isinstance(vector, list) and isinstance(vector[0], list)
    ):
        raise not_served("queries other than the nearest to a vector")
    return edge.QueryRequest(
        limit=request.get("limit", 10),
        offset=request.get("offset", 0),
        query=edge.Query.Nearest(_vector(vector), using=request.get("using", "")),
        filter=filter_of(request.get("filter")),
        score_threshold=request.get("score_threshold"),
        params=_params(request.get("params")),
        with_payload=_selector(request.get("with_payload", False)),
        with_vector=_selector(request.get("with_vector", False)),
    )


def _params(value: object) -> edge.SearchParams | None:
    """Exactness and settings of a graph change nothing, because a plain scan is exact anyway."""
    if value is None:
        return None
    served = frozenset({"exact", "hnsw_ef", "quantization", "idf"})
    params = members(value, served, "search params")
    if "idf" not in params:
        return None
    idf = members(params["idf"], frozenset({"corpus"}), "idf")
    return edge.SearchParams(idf=edge.IdfParams(corpus=filter_of(idf.get("corpus"))))


def facet(body: object) -> edge.FacetRequest:
    """The values of a payload field, each with the number of points that hold it."""
    request = members(body, frozenset({"key", "limit", "filter"}), "facet")
    if not isinstance(request.get("key"), str):
        raise malformed("`key` must be a string")
    return edge.FacetRequest(
        request["key"],
        limit=request.get("limit", 10),
        # As the real server's default: all that is left out are points that are written just now.
        exact=False,
        filter=filter_of(request.get("filter")),
    )


def scroll(body: object) -> edge.ScrollRequest:
    served = frozenset({"offset", "limit", "filter", "with_payload", "with_vector"})
    request = members(body, served, "scroll points")
    return edge.ScrollRequest(
        offset=request.get("offset"),
        limit=request.get("limit", 10),
        filter=filter_of(request.get("filter")),
        with_payload=_selector(request.get("with_payload", True)),
        with_vector=_selector(request.get("with_vector", False)),
    )


def count(body: object) -> edge.CountRequest:
    request = members(body, frozenset({"filter", "exact"}), "count points")
    return edge.CountRequest(
        exact=request.get("exact", True), filter=filter_of(request.get("filter"))
    )


def _required_filter(request: Mapping[str, Any]) -> edge.Filter:
    condition = filter_of(request.get("filter"))
    if condition is None:
        raise malformed("`filter` must be given")
    return condition


def _list(request: Mapping[str, Any], name: str) -> list[Any]:
    value = request.get(name)
    if not isinstance(value, list):
        raise malformed(f"`{name}` must be a list")
    return value


def _selector(value: object) -> Selector:
    if not isinstance(value, bool | list):
        raise not_served("a selector other than a boolean or a list of names")
    return value
