"""Bodies about points: from Qdrant's REST form to typed requests for the engine. Pure.

Every function raises `Refusal` for a body that it can't take.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge

from stack.qdrant.conditions import filter_of, members
from stack.qdrant.refusals import malformed, not_served

Selector = bool | list[str]
"""The members to return of a payload: all, none, or those of these names."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Points for the engine, beside their vectors' sizes, so that these are checked beforehand."""

    points: Sequence[edge.Point]
    sizes: Sequence[Mapping[str, int]]
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
    with_vector: bool


def upsert(body: object) -> Upsert:
    request = members(body, frozenset({"points", "update_filter"}), "upsert points")
    points, sizes = [], []
    for row in _list(request, "points"):
        point = members(row, frozenset({"id", "vector", "payload"}), "point")
        vectors = point.get("vector")
        if "id" not in point or not isinstance(vectors, dict):
            raise malformed("a point needs `id`, and `vector` as an object")
        sizes.append({name: _size(vector) for name, vector in vectors.items()})
        points.append(edge.Point(point["id"], vectors, point.get("payload")))
    return Upsert(points, sizes, filter_of(request.get("update_filter")))


def _size(vector: object) -> int:
    if not isinstance(vector, list) or (vector and isinstance(vector[0], list)):
        raise not_served("vectors other than dense ones")
    return len(vector)


def payload_batch(body: object) -> Sequence[SetPayload]:
    """Of all kinds of operations in a batch, those that set payloads are served."""
    request = members(body, frozenset({"operations"}), "batch update")
    served = frozenset({"set_payload", "overwrite_payload"})
    batch = []
    for row in _list(request, "operations"):
        operation = members(row, served, "batch update")
        if len(operation) != 1:
            raise malformed("an operation of a batch has one name")
        ((name, value),) = operation.items()
        batch.append(_set_payload(value, overwrite=name == "overwrite_payload"))
    return batch


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
        _switch(request),
    )


def query(body: object) -> edge.QueryRequest:
    """The points nearest to a vector."""
    served = frozenset(
        {
            *("query", "using", "filter", "limit", "offset", "score_threshold"),
            *("with_payload", "with_vector"),
            "params",  # exactness and graph settings: a plain scan is exact anyway
        }
    )
    request = members(body, served, "query points")
    vector = request.get("query")
    if not isinstance(vector, list) or (vector and isinstance(vector[0], list)):
        raise not_served("queries other than the nearest to a dense vector")
    return edge.QueryRequest(
        limit=request.get("limit", 10),
        offset=request.get("offset", 0),
        query=edge.Query.Nearest(vector, using=request.get("using", "")),
        filter=filter_of(request.get("filter")),
        score_threshold=request.get("score_threshold"),
        with_payload=_selector(request.get("with_payload", False)),
        with_vector=_switch(request),
    )


def scroll(body: object) -> edge.ScrollRequest:
    served = frozenset({"offset", "limit", "filter", "with_payload", "with_vector"})
    request = members(body, served, "scroll points")
    return edge.ScrollRequest(
        offset=request.get("offset"),
        limit=request.get("limit", 10),
        filter=filter_of(request.get("filter")),
        with_payload=_selector(request.get("with_payload", True)),
        with_vector=_switch(request),
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
        raise not_served("a payload selector other than a boolean or a list of names")
    return value


def _switch(request: Mapping[str, Any]) -> bool:
    value = request.get("with_vector", False)
    if not isinstance(value, bool):
        raise not_served("`with_vector` other than a boolean")
    return value
