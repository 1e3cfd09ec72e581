"""Names of attributes, and the types of those that a shop lists (ATTRIBUTE_INDEXES). Pure."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from pydantic_core import PydanticCustomError

from shared.models.terms import members

MAX_NAME: Final = 64
"""Characters of an attribute's name."""

CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class AttributeType(StrEnum):
    """Qdrant's names of the types of payload indexes."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    BOOL = "bool"

    def fits(self, value: object) -> bool:
        """Whether such an attribute may have the value. 5.0 is a whole number, true is none."""
        if isinstance(value, bool):
            return self is AttributeType.BOOL
        if isinstance(value, str):
            return self is AttributeType.KEYWORD
        if self is AttributeType.INTEGER:
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return self is AttributeType.FLOAT


def unfilterable(name: str) -> PydanticCustomError | None:
    """The fault of a name that no search could filter on, because Qdrant's syntax for payload paths
    has no way to write its characters; None if the name has none of them."""
    if '"' in name:
        return PydanticCustomError("quote_in_name", "must not hold a double quote in its name")
    if "\\" in name:
        return PydanticCustomError("backslash_in_name", "must not hold a backslash in its name")
    return None


def attribute_types(listed: Iterable[str]) -> dict[str, AttributeType]:
    """Types by name, of entries like `color` (keyword) and `rating:float`.

    Raises ValueError if a type isn't known, a name can't be an index's, or a name has two types.
    """
    types: dict[str, AttributeType] = {}
    for entry in listed:
        name, colon, kind = (part.strip() for part in entry.rpartition(":"))
        if not colon:
            name, kind = entry.strip(), AttributeType.KEYWORD
        if kind not in list(AttributeType):
            known = ", ".join(AttributeType)
            raise ValueError(f"{entry} has no type that is known ({known}), as in rating:float")
        if not 1 <= len(name) <= MAX_NAME or CONTROL_CHARACTER.search(name) or unfilterable(name):
            raise ValueError(
                f"{entry} names no attribute: 1 to {MAX_NAME} characters without quotes, "
                "backslashes and control characters"
            )
        if types.setdefault(name, AttributeType(kind)) != kind:
            raise ValueError(f"{name} is listed with two types")
    return types


def mismatches(attributes: Mapping[str, Any], types: Mapping[str, AttributeType]) -> list[str]:
    """The faults of a product's values of listed attributes, a sentence for each of them."""
    return [
        f"The attribute {name} is listed as {kind}, and has a value of another type."
        for name, kind in types.items()
        if name in attributes and not all(map(kind.fits, members(attributes[name])))
    ]
