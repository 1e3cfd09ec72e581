"""Bodies that make a collection or an index of its payloads: from Qdrant's REST form. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import qdrant_edge as edge

from stack.qdrant.conditions import members
from stack.qdrant.refusals import malformed, not_served
from stack.qdrant.sparse import check_params
from stack.qdrant.tuning import PARTS, VECTOR_PARTS, Tuning, tuning_of

_COSINE: Final = "Cosine"


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """One named dense vector of a collection."""

    name: str
    size: int
    distance: str = _COSINE

    def engine_params(self) -> edge.EdgeVectorParams:
        return edge.EdgeVectorParams(size=self.size, distance=edge.Distance.Cosine)


@dataclass(frozen=True, slots=True)
class Shape:
    """The body that creates a collection. `sparse`: the names of its sparse vectors."""

    spaces: Sequence[VectorSpace]
    sparse: Sequence[str]
    tuning: Tuning


def collection_shape(body: object) -> Shape:
    """The shape of a collection to create. Raises `Refusal`."""
    config = members(body, PARTS | {"vectors", "sparse_vectors"}, "create collection")
    vectors, sparse = config.get("vectors"), config.get("sparse_vectors", {})
    if not isinstance(vectors, dict) or not isinstance(sparse, dict):
        raise malformed("`vectors` and `sparse_vectors` must be objects")
    for params in sparse.values():
        check_params(params)
    if twice := vectors.keys() & sparse.keys():
        raise malformed(f"two vectors are named {', '.join(sorted(twice))}")
    return Shape([_space(*vector) for vector in vectors.items()], list(sparse), tuning_of(config))


def check_new_vector(body: object) -> None:
    """Of all vectors, sparse ones can be added to a collection. Raises `Refusal`."""
    request = members(body, frozenset({"sparse"}), "create vector")
    if "sparse" not in request:
        raise malformed("`sparse` must be given")
    check_params(request["sparse"])


def _space(name: str, value: object) -> VectorSpace:
    params = members(value, VECTOR_PARTS | {"size", "distance"}, "vector params")
    size, distance = params.get("size"), params.get("distance")
    if not isinstance(size, int) or size < 1:
        raise malformed("`size` must be a positive whole number")
    if distance != _COSINE:
        raise not_served(f"distance {distance}")
    return VectorSpace(name, size)


def field_index(body: object) -> tuple[str, Any]:
    """The field's path and the engine's schema of its index. Raises `Refusal`."""
    request = members(body, frozenset({"field_name", "field_schema"}), "create index")
    name = request.get("field_name")
    if not isinstance(name, str):
        raise malformed("`field_name` must be a string")
    return name, _index_schema(request.get("field_schema"))


def _index_schema(schema: object) -> Any:
    if isinstance(schema, str):
        schema = {"type": schema}
    match schema:
        case {"type": "keyword"}:
            params = members(schema, frozenset({"type", "is_tenant"}), "keyword index")
            return edge.KeywordIndexParams(is_tenant=params.get("is_tenant"))
        case {"type": "integer"}:
            params = members(schema, frozenset({"type", "lookup", "range"}), "integer index")
            # Qdrant's REST defaults: both kinds of filter are served unless switched off.
            return edge.IntegerIndexParams(
                lookup=params.get("lookup", True), range=params.get("range", True)
            )
        case {"type": "float"}:
            members(schema, frozenset({"type"}), "float index")
            return edge.FloatIndexParams()
        case {"type": "bool"}:
            members(schema, frozenset({"type"}), "bool index")
            return edge.BoolIndexParams()
        case {"type": other}:
            raise not_served(f"payload index of type `{other}`")
        case _:
            raise malformed("`field_schema` must be a type or an object with a type")
