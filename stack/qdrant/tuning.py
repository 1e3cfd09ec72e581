"""Tuning options, which are stored and reported back: this server has no graph to tune.

Results are the same whatever the options. A collection's description shows them as a real server's
does, because programs that have just set them look there.
"""

from collections.abc import Mapping
from typing import Any, Final

from stack.qdrant.conditions import members
from stack.qdrant.refusals import malformed, not_served

Tuning = Mapping[str, Mapping[str, Any]]
"""The options of each part, by its name; a part that is missing has Qdrant's defaults."""

PARTS: Final = frozenset({"hnsw_config", "optimizers_config", "quantization_config"})

VECTOR_PARTS: Final = frozenset({"on_disk"})

_DISABLED: Final = "Disabled"

_HNSW_DEFAULTS: Final = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10_000,
    "max_indexing_threads": 0,
    "on_disk": False,
}
_OPTIMIZER_DEFAULTS: Final = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "flush_interval_sec": 5,
}


def tuning_of(body: Mapping[str, Any]) -> Tuning:
    """The options in a request to create or to change a collection. Raises Refusal 400 or 501."""
    said = {}
    for name in PARTS & body.keys():
        value = body[name]
        if name == "quantization_config":
            value = _quantization(value)
        elif not isinstance(value, dict):
            raise malformed(f"`{name}` must be an object")
        # An option that is left to the server is reported as null.
        said[name] = {key: None if one == "auto" else one for key, one in value.items()}
    return said


def change_of(body: object) -> tuple[Tuning, frozenset[str]]:
    """The options in a request to change a collection, and the names of the vectors that it names.

    Options of a single vector say where it is kept; they are not reported. Raises Refusal 400 or
    501.
    """
    request = members(body, PARTS | {"vectors"}, "update collection")
    vectors = request.get("vectors", {})
    if not isinstance(vectors, dict):
        raise malformed("`vectors` must be an object")
    for value in vectors.values():
        members(value, VECTOR_PARTS, "vector params")
    return tuning_of(request), frozenset(vectors)


def merged(held: Tuning, said: Tuning) -> Tuning:
    """Member by member, but for quantization, which is replaced or, being empty, given up."""
    tuning = {name: {**held.get(name, {}), **value} for name, value in said.items()}
    if "quantization_config" in said:
        tuning["quantization_config"] = dict(said["quantization_config"])
    return {**held, **tuning}


def described(tuning: Tuning) -> dict[str, Any]:
    """The options as a collection's `config` reports them."""
    return {
        "hnsw_config": {**_HNSW_DEFAULTS, **tuning.get("hnsw_config", {})},
        "optimizer_config": {**_OPTIMIZER_DEFAULTS, **tuning.get("optimizers_config", {})},
        "quantization_config": tuning.get("quantization_config") or None,
    }


def _quantization(value: object) -> Mapping[str, Any]:
    if value == _DISABLED:
        return {}
    scalar = members(value, frozenset({"scalar"}), "quantization_config").get("scalar")
    served = frozenset({"type", "quantile", "always_ram", "memory"})
    config = members(scalar, served, "scalar quantization")
    if config.get("type") != "int8":
        raise not_served("scalar quantization other than int8")
    return {"scalar": config}
