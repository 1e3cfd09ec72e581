"""Request bodies: from Qdrant's REST form to typed operations for the engine. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import qdrant_edge as edge

from stack.qdrant.conditions import filter_of, members
from stack.qdrant.refusals import invalid, malformed, not_served
from stack.qdrant.tuning import PARTS, Tuning, tuning_of

Selector = Any
"""What to return of a payload or of vectors: a bool, names, or the engine's PayloadSelector."""

_UPDATE_MODES: Final = {
    "upsert": edge.UpdateMode.Upsert,
    "insert_only": edge.UpdateMode.InsertOnly,
    "update_only": edge.UpdateMode.UpdateOnly,
}
_DISTANCES: Final = {
    "Cosine": edge.Distance.Cosine,
    "Dot": edge.Distance.Dot,
    "Euclid": edge.Distance.Euclid,
    "Manhattan": edge.Distance.Manhattan,
}
# These are about a log and a place that this server doesn't choose; results stay the same.
_PLACING: Final = frozenset({"wal_config", "on_disk_payload"})
_VECTOR_TUNING: Final = frozenset({"hnsw_config", "on_disk"})


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """One named vector of a collection; the unnamed default vector has the name ''."""

    name: str
    size: int
    distance: str

    def engine_params(self) -> edge.EdgeVectorParams:
        return edge.EdgeVectorParams(size=self.size, distance=_DISTANCES[self.distance])


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collection is created with."""

    spaces: Sequence[VectorSpace]
    tuning: Tuning


@dataclass(frozen=True, slots=True)
class Upsert:
    """Points for the engine, beside their vectors' sizes, so that these are checked beforehand."""

    points: Sequence[edge.Point]
    sizes: Sequence[Mapping[str, int]]
    condition: edge.Filter | None
    mode: edge.UpdateMode


@dataclass(frozen=True, slots=True)
class PointSelection:
    """The points that an operation is about: by ids or by filter."""

    ids: Sequence[int | str] | None
    condition: edge.Filter


@dataclass(frozen=True, slots=True)
class SetPayload:
    """Fields to set beside those that are there, or (`overwrite`) in place of all of them."""

    selection: PointSelection
    payload: dict[str, Any]
    key: str | None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Retrieve:
    ids: Sequence[int | str]
    with_payload: Selector
    with_vector: Selector


@dataclass(frozen=True, slots=True)
class Query:
    """Nearest points to a vector, or to a stored point's vector; without either, by id."""

    vector: list[float] | None
    point: int | str | None
    using: str
    filter_json: Mapping[str, Any] | None
    limit: int
    offset: int
    score_threshold: float | None
    with_payload: Selector
    with_vector: Selector


def collection_shape(body: object) -> Shape:
    """Of a collection to create."""
    config = members(body, frozenset({"vectors"}) | PARTS | _PLACING, "create collection")
    return Shape(_vector_spaces(config.get("vectors")), tuning_of(config))


def _vector_spaces(vectors: object) -> list[VectorSpace]:
    if not isinstance(vectors, dict):
        raise malformed("`vectors` must be an object")
    named = {"": vectors} if "size" in vectors else vectors
    spaces = []
    for name, value in named.items():
        params = members(value, frozenset({"size", "distance"}) | _VECTOR_TUNING, "vector params")
        size, distance = params.get("size"), params.get("distance")
        if not isinstance(size, int) or isinstance(size, bool):
            raise malformed("`size` must be a whole number")
        if not 1 <= size <= 65_536:
            raise invalid("size: must be from 1 to 65536")
        if distance not in _DISTANCES:
            raise malformed(f"unknown distance, expected one of {', '.join(_DISTANCES)}")
        spaces.append(VectorSpace(name, size, distance))
    return spaces


def upsert(body: object) -> Upsert:
    served = frozenset({"points", "batch", "update_filter", "update_mode"})
    request = members(body, served, "upsert points")
    mode = request.get("update_mode", "upsert")
    if mode not in _UPDATE_MODES:
        raise malformed(f"unknown update_mode, expected one of {', '.join(_UPDATE_MODES)}")
    rows = _batch_rows(request["batch"]) if "batch" in request else request.get("points")
    if not isinstance(rows, list):
        raise malformed("`points` must be a list")
    points, sizes = [], []
    for row in rows:
        point = members(row, frozenset({"id", "vector", "payload"}), "point")
        if "id" not in point or "vector" not in point:
            raise malformed("a point needs `id` and `vector`")
        vectors = point["vector"]
        named = vectors if isinstance(vectors, dict) else {"": vectors}
        sizes.append({name: _vector_size(vector) for name, vector in named.items()})
        points.append(edge.Point(point["id"], vectors, point.get("payload")))
    return Upsert(points, sizes, filter_of(request.get("update_filter")), _UPDATE_MODES[mode])


def _vector_size(vector: object) -> int:
    if not isinstance(vector, list):
        raise not_served("vectors other than dense ones")
    if vector and isinstance(vector[0], list):
        raise not_served("multi-vectors")
    return len(vector)


def _batch_rows(value: object) -> list[dict[str, Any]]:
    batch = members(value, frozenset({"ids", "vectors", "payloads"}), "batch")
    ids, vectors = batch.get("ids", []), batch.get("vectors", [])
    payloads = batch.get("payloads", [None] * len(ids))
    columns = list(vectors.values()) if isinstance(vectors, dict) else [vectors]
    if any(len(column) != len(ids) for column in (*columns, payloads)):
        raise malformed("`ids`, `vectors` and `payloads` of a batch must be equally long")
    if isinstance(vectors, dict):
        vectors = [dict(zip(vectors, row, strict=True)) for row in zip(*columns, strict=True)]
    return [
        {"id": id_, "vector": vector, "payload": payload}
        for id_, vector, payload in zip(ids, vectors, payloads, strict=True)
    ]


def point_selection(body: object) -> PointSelection:
    return _selection(members(body, frozenset({"points", "filter"}), "points selector"))


def payload_batch(body: object) -> list[SetPayload]:
    """The operations of a batch; of all kinds the ones that set payloads are served."""
    rows = members(body, frozenset({"operations"}), "batch update").get("operations")
    if not isinstance(rows, list):
        raise malformed("`operations` must be a list")
    served = frozenset({"set_payload", "overwrite_payload"})
    batch = []
    for row in rows:
        if len(entry := members(row, served, "batch update")) != 1:
            raise malformed("an operation of a batch has one name")
        ((name, value),) = entry.items()
        batch.append(set_payload(value, overwrite=name == "overwrite_payload"))
    return batch


def set_payload(body: object, *, overwrite: bool = False) -> SetPayload:
    served = frozenset({"payload", "points", "filter", "key"})
    request = members(body, served, "set payload")
    payload = request.get("payload")
    if not isinstance(payload, dict):
        raise malformed("`payload` must be an object")
    return SetPayload(_selection(request), payload, request.get("key"), overwrite)


def _selection(request: Mapping[str, Any]) -> PointSelection:
    ids = request.get("points")
    if ids is None and "filter" not in request:
        raise malformed("either `points` or `filter` must be given")
    if ids is not None and not isinstance(ids, list):
        raise malformed("`points` must be a list of ids")
    # Qdrant too uses the ids alone where both are given.
    condition = filter_of(request.get("filter")) if ids is None else None
    return PointSelection(ids, condition or edge.Filter())


def retrieve(body: object) -> Retrieve:
    request = members(body, frozenset({"ids", "with_payload", "with_vector"}), "retrieve points")
    ids = request.get("ids")
    if not isinstance(ids, list):
        raise malformed("`ids` must be a list")
    return Retrieve(
        ids,
        # A real server returns none unless asked, whatever its documentation says.
        _selector(request.get("with_payload", False)),
        _names(request.get("with_vector", False)),
    )


def query(body: object) -> Query:
    served = frozenset(
        {
            "query",
            "using",
            "filter",
            "params",  # exactness and graph settings: a plain scan is exact anyway
            "limit",
            "offset",
            "score_threshold",
            "with_payload",
            "with_vector",
        }
    )
    request = members(body, served, "query points")
    target = request.get("query")
    if isinstance(target, dict):
        target = members(target, frozenset({"nearest"}), "query").get("nearest")
    if isinstance(target, bool | float) or (isinstance(target, list) and not target):
        raise malformed("`query` must be a vector or a point id")
    if isinstance(target, dict) or (isinstance(target, list) and isinstance(target[0], list)):
        raise not_served("queries other than the nearest to a dense vector or a point")
    filter_of(request.get("filter"))  # refuses a wrong one before the request takes a place
    return Query(
        vector=target if isinstance(target, list) else None,
        point=target if isinstance(target, int | str) else None,
        using=request.get("using", ""),
        filter_json=request.get("filter"),
        limit=_count(request.get("limit", 10), "limit", least=1),
        offset=_count(request.get("offset", 0), "offset", least=0),
        score_threshold=request.get("score_threshold"),
        with_payload=_selector(request.get("with_payload", False)),
        with_vector=_names(request.get("with_vector", False)),
    )


def scroll(body: object) -> edge.ScrollRequest:
    served = frozenset({"offset", "limit", "filter", "with_payload", "with_vector"})
    request = members(body, served, "scroll points")
    return edge.ScrollRequest(
        offset=request.get("offset"),
        limit=_count(request.get("limit", 10), "limit", least=1),
        filter=filter_of(request.get("filter")),
        with_payload=_selector(request.get("with_payload", True)),
        with_vector=_names(request.get("with_vector", False)),
    )


def count(body: object) -> edge.CountRequest:
    request = members(body, frozenset({"filter", "exact"}), "count points")
    return edge.CountRequest(
        exact=request.get("exact", True), filter=filter_of(request.get("filter"))
    )


def field_index(body: object) -> tuple[str, Any]:
    """The field's path and the engine's schema of its index."""
    request = members(body, frozenset({"field_name", "field_schema"}), "create index")
    name, schema = request.get("field_name"), request.get("field_schema")
    if not isinstance(name, str):
        raise malformed("`field_name` must be a string")
    return name, _index_schema(schema)


def _index_schema(schema: object) -> Any:
    if isinstance(schema, str):
        schema = {"type": schema}
    if not isinstance(schema, dict):
        raise malformed("`field_schema` must be a type or an object with a type")
    match schema.get("type"):
        case "keyword":
            params = members(schema, frozenset({"type", "is_tenant", "on_disk"}), "keyword index")
            return edge.KeywordIndexParams(is_tenant=params.get("is_tenant"))
        case "integer":
            served = frozenset({"type", "lookup", "range", "is_principal", "on_disk"})
            params = members(schema, served, "integer index")
            # Qdrant's REST defaults: both kinds of filter are served unless switched off.
            return edge.IntegerIndexParams(
                lookup=params.get("lookup", True), range=params.get("range", True)
            )
        case "float":
            members(schema, frozenset({"type", "is_principal", "on_disk"}), "float index")
            return edge.FloatIndexParams()
        case "bool":
            members(schema, frozenset({"type", "on_disk"}), "bool index")
            return edge.BoolIndexParams()
        case other:
            raise not_served(f"payload index of type `{other}`")


def _count(value: object, name: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise malformed(f"`{name}` must be a whole number")
    if value < least:
        raise invalid(f"{name}: value {value} invalid, must be {least} or larger")
    return value


def _selector(value: object) -> Selector:
    if isinstance(value, dict):
        chosen = members(value, frozenset({"include", "exclude"}), "payload selector")
        if "include" in chosen:
            return edge.PayloadSelector.Include(chosen["include"])
        return edge.PayloadSelector.Exclude(chosen.get("exclude", []))
    return _names(value)


def _names(value: object) -> Selector:
    if not isinstance(value, bool | list):
        raise malformed("a selector must be a boolean, a list of names or an object")
    return value
