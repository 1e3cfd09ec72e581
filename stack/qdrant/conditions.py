"""Filters: from Qdrant's REST form to the engine's. Pure.

The engine's own constructors refuse values of a wrong type with TypeError, ValueError or
OverflowError; the HTTP layer answers those with 400.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import qdrant_edge as edge

from stack.qdrant.refusals import malformed, not_served

_CLAUSES: Final = frozenset({"must", "should", "must_not", "min_should"})
_FIELD_MEMBERS: Final = frozenset({"key", "match", "range"})
_BOUNDS: Final = frozenset({"lt", "lte", "gt", "gte"})


def members(value: object, served: frozenset[str], what: str) -> dict[str, Any]:
    """The object's members that are set.

    Raises Refusal 501 for a member that isn't served, and 400 for anything but an object.
    """
    if not isinstance(value, dict):
        raise malformed(f"{what} must be an object")
    present = {name: member for name, member in value.items() if member is not None}
    if unserved := present.keys() - served:
        raise not_served(f"{', '.join(f'`{name}`' for name in sorted(unserved))} in {what}")
    return present


def filter_of(value: object) -> edge.Filter | None:
    """The engine's filter; None, which stands for "every point", if there is none.

    Raises Refusal 400 or 501.
    """
    if value is None:
        return None
    clauses = members(value, _CLAUSES, "filter")
    min_should = None
    if "min_should" in clauses:
        min_should = _min_should(clauses["min_should"])
    return edge.Filter(
        must=_conditions(clauses.get("must")),
        should=_conditions(clauses.get("should")),
        must_not=_conditions(clauses.get("must_not")),
        min_should=min_should,
    )


def _min_should(value: object) -> edge.MinShould:
    least = members(value, frozenset({"conditions", "min_count"}), "min_should")
    if least.keys() != {"conditions", "min_count"}:
        raise malformed("min_should needs `conditions` and `min_count`")
    return edge.MinShould(_conditions(least["conditions"]) or [], least["min_count"])


def _conditions(value: object) -> list[Any] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise malformed("a filter's clause must be a list of conditions")
    return [_condition(one) for one in value]


def _condition(value: object) -> Any:
    if not isinstance(value, dict):
        raise malformed("a condition must be an object")
    if "key" in value:
        return _field(members(value, _FIELD_MEMBERS, "field condition"))
    if "has_id" in value:
        return edge.HasIdCondition(set(_list(value["has_id"], "has_id")))
    if "is_empty" in value:
        return edge.IsEmptyCondition(_key(value["is_empty"], "is_empty"))
    if value.keys() & _CLAUSES:
        return filter_of(value)
    raise not_served(
        f"condition with {', '.join(f'`{name}`' for name in sorted(value)) or 'nothing'}"
    )


def _field(condition: Mapping[str, Any]) -> edge.FieldCondition:
    if len(condition) == 1:
        raise malformed("a field condition needs more than its key")
    return edge.FieldCondition(
        condition["key"],
        match=_match(condition["match"]) if "match" in condition else None,
        range=edge.RangeFloat(**members(condition["range"], _BOUNDS, "range"))
        if "range" in condition
        else None,
    )


def _match(value: object) -> Any:
    match = members(value, frozenset({"value", "any"}), "match")
    if len(match) != 1:
        raise malformed("match needs one of `value` and `any`")
    if "value" in match:
        wanted = match["value"]
        if isinstance(wanted, bool):
            # The engine's constructor reads Python's own booleans as the integers 0 and 1, which
            # match no boolean; numpy's it takes for what they are.
            wanted = np.bool_(wanted)
        return edge.MatchValue(wanted)
    return edge.MatchAny(_list(match["any"], "any"))


def _key(value: object, what: str) -> str:
    key = members(value, frozenset({"key"}), what).get("key")
    if not isinstance(key, str):
        raise malformed(f"{what} needs a key")
    return key


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise malformed(f"{what} must be a list")
    return value
