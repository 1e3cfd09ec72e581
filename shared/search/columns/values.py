"""A field's distinct values under codes, and the column of codes. Pure.

A value is all that a product has of the field: a string, a number, a boolean, or a list of strings.
So every product takes four bytes, whatever the field's type, and a condition is evaluated once per
distinct value rather than once per product.

A value has *members*: its spelling, each string of a list, or each beginning of a category's path.
Facets count the members' terms (`shared/models/terms.py`), so that `Red` and `red` are one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.models.terms import attribute_term, field_term, members, terms_about

NONE: Final = -1
"""The code of a product that has no value."""

ATTRIBUTE: Final = "attributes."
"""The prefix of an attribute's field, as facets name it."""

Scalar = str | bool | int | float
Value = Scalar | tuple[str, ...]
Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]
Positions = NDArray[np.int64]
Numbers = NDArray[np.float64]

_PATH: Final = ">"
"""Stands between the parts of a category's path."""

_BYTES_BESIDE_TEXT: Final = 500
"""Of a distinct value: its entries in dictionaries and lists, by about."""


class Values:
    """The distinct values of one field, which snapshots share: a value keeps its code for good.

    One thread adds, any may read. A snapshot knows how many values there were and looks at no
    later one.
    """

    def __init__(self, field: str) -> None:
        self.field = field
        self.bytes = 0
        """What the values take, by about."""
        self.tidy_beyond = 1000
        """Beyond so many values it is worth a look which of them are still used."""
        self._codes: dict[tuple[type, Value], int] = {}
        self._values: list[Value] = []
        self._by_term: dict[str, list[int]] = {}
        self._terms: dict[str, int] = {}
        self._spellings: list[tuple[int, Scalar]] = []
        self._spelling_codes: dict[tuple[int, type, Scalar], int] = {}
        self._members: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, code: int) -> Value:
        return self._values[code]

    def code(self, value: Value) -> int:
        """The value's code, a new one if it is new. For the one thread that adds."""
        key = (type(value), value)
        known = self._codes.get(key)
        if known is not None:
            return known
        code = len(self._values)
        self._members.append(tuple(self._spelling(*member) for member in _members(self, value)))
        for term in _terms(self.field, value):
            self._by_term.setdefault(term, []).append(code)
        text = "".join(value) if isinstance(value, tuple) else str(value)
        self.bytes += _BYTES_BESIDE_TEXT + 4 * len(text)
        self._codes[key] = code
        self._values.append(value)
        return code

    def _spelling(self, term: str, spelling: Scalar) -> int:
        place = self._terms.setdefault(term, len(self._terms))
        key = (place, type(spelling), spelling)
        code = self._spelling_codes.setdefault(key, len(self._spellings))
        if code == len(self._spellings):
            self._spellings.append((place, spelling))
        return code

    def codes_of(self, terms: Sequence[str]) -> list[int]:
        """The codes of the values that have one of the terms."""
        return [code for term in terms for code in list(self._by_term.get(term, ()))]

    def read(self, size: int) -> "Reading":
        """The first `size` values as arrays."""
        members = self._members[:size]
        flat = [code for codes in members for code in codes]
        spellings = self._spellings[: max(flat, default=-1) + 1]
        places = np.array([place for place, _ in spellings], np.int64)
        terms = list(self._terms)[: int(places.max(initial=-1)) + 1]
        counts = np.array([len(codes) for codes in members] + [0], np.int64)
        return Reading(
            numbers=np.array([*map(_number, self._values[:size]), np.nan]),
            first=np.cumsum(counts) - counts,
            counts=counts,
            members=np.array(flat, np.int64),
            terms=terms,
            term_of=places,
            spelling_of=[spelling for _, spelling in spellings],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The values of a snapshot as arrays by code; the last entry of each is that of no value.

    Value v has the spellings `members[first[v]:first[v] + counts[v]]`, and a spelling has a term
    (a place in `terms`).
    """

    numbers: Numbers
    first: NDArray[np.int64]
    counts: NDArray[np.int64]
    members: NDArray[np.int64]
    terms: Sequence[str]
    term_of: NDArray[np.int64]
    spelling_of: Sequence[Scalar]

    def expand(self, codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each member of each of these values: an index of `codes`, and its spelling."""
        counts = self.counts[codes]
        rows = np.repeat(np.arange(len(codes), dtype=np.int64), counts)
        before = np.cumsum(counts) - counts
        places = np.arange(len(rows), dtype=np.int64) + np.repeat(
            self.first[codes] - before, counts
        )
        return rows, self.members[places]


@dataclass(frozen=True, eq=False)
class Column:
    """One field of all products in a snapshot.

    `codes`: the value's code by position, `NONE` for none. `size`: the number of values that the
    snapshot knows.
    """

    codes: Codes
    store: Values
    size: int

    @cached_property
    def _reading(self) -> Reading:
        return self.store.read(self.size)

    def having(self, terms: Sequence[str]) -> Mask:
        """By position whether the value has one of these terms."""
        meets = np.zeros(self.size + 1, np.bool_)  # the last one stands for NONE
        meets[[code for code in self.store.codes_of(terms) if code < self.size]] = True
        mask: Mask = meets[self.codes]
        return mask

    def value(self, position: int) -> Value | None:
        """The value of a product, as the shop wrote it."""
        code = int(self.codes[position])
        return None if code == NONE else self.store[code]

    @property
    def numbers(self) -> Numbers:
        """By position the value as a number, NaN for what is none."""
        numbers: Numbers = self._reading.numbers[self.codes]
        return numbers

    @property
    def has_numbers(self) -> bool:
        """Whether any value is a number."""
        return not bool(np.isnan(self._reading.numbers).all())

    @property
    def terms(self) -> Sequence[str]:
        """The members' terms, each once: what `at` and `codes_of` give places of."""
        return self._reading.terms

    @cached_property
    def values(self) -> Sequence[Scalar]:
        """Each of `terms` as most products spell it; of equally frequent ones the first."""
        reading = self._reading
        products = np.bincount(self.codes[self.codes != NONE], minlength=self.size)
        of_value = np.repeat(products, reading.counts[:-1])
        # A whole number, which a double holds exactly.
        tally = np.bincount(reading.members, weights=of_value, minlength=len(reading.term_of))
        best: dict[int, tuple[float, str, Scalar]] = {}
        for term, count, spelling in zip(
            reading.term_of.tolist(), tally.tolist(), reading.spelling_of, strict=True
        ):
            rival = (-count, str(spelling), spelling)
            best[term] = min(best.get(term, rival), rival, key=lambda each: each[:2])
        return [best[term][2] for term in range(len(reading.terms))]

    def codes_of(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """The places in `terms` of those that a value has."""
        wanted = set(terms)
        codes = [place for place, term in enumerate(self.terms) if term in wanted]
        return np.array(codes, np.int64)

    def at(self, positions: Positions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The members of some products' values: for each an index of `positions`, and the place of
        its term in `terms`. No product has a term twice."""
        rows, spellings = self._reading.expand(self.codes[positions])
        return rows, self._reading.term_of[spellings]


def value_of(held: Any) -> Value | None:
    """A payload's value as one that can be a key; None for none."""
    return tuple(held) if isinstance(held, list) else held


def _terms(field: str, value: Value) -> Sequence[str]:
    """The terms that filters find a product by."""
    held = list(value) if isinstance(value, tuple) else value
    name = field.removeprefix(ATTRIBUTE)
    fields = {field: held} if name == field else {"attributes": {name: held}}
    return list(dict.fromkeys(terms_about(field, fields)))


def _members(values: Values, value: Value) -> Sequence[tuple[str, Scalar]]:
    """Each member's term, once, and how it is written.

    The beginnings of a category's path are members if filters know them.
    """
    field = values.field
    name = field.removeprefix(ATTRIBUTE)
    if name != field:
        named = {attribute_term(name, member): member for member in reversed(members(value))}
        return list(named.items())
    if not isinstance(value, str):
        return []
    parts = value.split(_PATH)
    beginnings = [_PATH.join(parts[:end]).strip() for end in range(1, len(parts))]
    known = set(_terms(field, value))
    found: Mapping[str, Scalar] = {field_term(field, each): each for each in beginnings}
    paths = {term: each for term, each in found.items() if term in known}
    return list({**paths, field_term(field, value): value}.items())


def _number(value: Value) -> float:
    if isinstance(value, bool | str | tuple):
        return np.nan
    return float(value)
