"""Terms, which filters compare: a product's strings and attributes. Pure.

A point holds its product's terms in one list under one keyword index. So a condition costs the same
whatever attribute and type of value it is about, and however many values it names; an attribute
that nobody has thought of when the collection was made is no exception.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from shared.models.folding import fold

TERM_FIELDS: Final = ("category", "brand", "availability")
"""The fields of a product, beside its attributes, that have terms."""

IN_STOCK: Final = "in_stock"
"""The availability of a product that says nothing of it."""

MARK: Final = "terms\t2"
"""In every live point's terms. A change of what terms there are, or how they are folded, or of
another field that filters rely on, counts it up; points without it are then written anew
(`shared/qdrant/recovery/upgrade.py`)."""

_ATTRIBUTE: Final = "attributes."

_LONGEST: Final = 64
"""Characters of a folded string that are kept in a term; of a longer one its digest."""


@lru_cache(maxsize=2048)
def field_term(field: str, value: str) -> str:
    """The term of one of `TERM_FIELDS`, by a value that a filter names."""
    if field == "category":
        return _path_terms(value)[-1]
    return f"{field}\t{_text(value)}"


def attribute_term(name: str, value: str | bool | int | float) -> str:
    """The term of one value of an attribute. True is no 1, and 1 no "1"; 20 is 20.0."""
    # No name holds a tab, or any other control character.
    return f"attributes\t{name}\t{_kind_and_value(value)}"


def terms_of(fields: Mapping[str, Any]) -> list[str]:
    """All terms of a product, by its fields: each once, the mark first."""
    return list(dict.fromkeys([MARK, *_terms(fields)]))


def terms_about(attribute: str, fields: Mapping[str, Any]) -> Iterator[str]:
    """The product's terms about one thing: one of `TERM_FIELDS`, or `attributes.<name>`.

    A category has the terms of all paths that lead to it.
    """
    if attribute.startswith(_ATTRIBUTE):
        name = attribute.removeprefix(_ATTRIBUTE)
        for value in members(fields.get("attributes", {}).get(name, ())):
            yield attribute_term(name, value)
        return
    yield from _field_terms(attribute, fields.get(attribute))


def _field_terms(field: str, value: str | None) -> Sequence[str]:
    if field == "availability":
        return (field_term(field, value or IN_STOCK),)
    if value is None:
        return ()
    return _path_terms(value) if field == "category" else (field_term(field, value),)


def _terms(fields: Mapping[str, Any]) -> Iterator[str]:
    for field in TERM_FIELDS:
        yield from _field_terms(field, fields.get(field))
    for name, held in fields.get("attributes", {}).items():
        for value in members(held):
            yield attribute_term(name, value)


def members(held: Any) -> Sequence[Any]:
    """The values of an attribute: a list has its members."""
    return held if isinstance(held, list | tuple) else [held]


def sorted_terms(terms: Iterable[str]) -> list[str]:
    """Each once, in one order."""
    return sorted(set(terms))


def _kind_and_value(value: str | bool | int | float) -> str:
    if isinstance(value, str):
        return f"string\t{_text(value)}"
    if isinstance(value, bool):
        return f"boolean\t{str(value).lower()}"
    return f"number\t{_number(value)}"


def _number(value: int | float) -> str:
    if isinstance(value, int) or (value.is_integer() and abs(value) < 2**53):
        return str(int(value))
    # Qdrant's JSON reads 11.120000000000001 as 11.12, and patches start from what it read.
    return format(value, ".15g")


@lru_cache(maxsize=2048)  # a catalogue says few things, over and over again
def _text(value: str) -> str:
    folded = fold(value)
    if len(folded) <= _LONGEST:
        return folded
    # Bounds what an index holds of a description that was pushed as an attribute.
    return f"\t{hashlib.blake2b(folded.encode(), digest_size=16).hexdigest()}"


@lru_cache(maxsize=2048)
def _path_terms(category: str) -> Sequence[str]:
    """The terms of a category and of those around it, the widest first."""
    steps = [step for part in category.split(">") if (step := _text(part))]
    paths = [" > ".join(steps[: depth + 1]) for depth in range(len(steps))]
    return [f"category\t{path}" for path in paths] or [f"category\t{_text(category)}"]
