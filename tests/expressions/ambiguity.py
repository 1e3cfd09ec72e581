"""Tells whether a regular expression can take more than linear time, from its parse tree.

A backtracking matcher tries all ways to match a text before it gives up. So it takes exponential
time where a loop can read one text in two ways (`(a+)+`), and quadratic time where a text that one
loop reads may also be read by that loop and then another one (`\\s*\\s*`): Weber and Seidl, *On the
degree of ambiguity of finite automata*, 1991. Both are looked for in the automaton of positions
(Glushkov's).

An atomic group or a possessive repeat matches in one way only: what is ambiguous inside costs
nothing outside. Repeats up to a large number count as endless. Findings may be wrong; where there
are none, there is nothing to find, but for what `_Builder` refuses.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

_FEW: Final = 4
"""Repeats up to this number are written out."""

_SAMPLES: Final = "\0\t\n\r !#-./09:AZ[_az{\x7f\x80\xa0\xd7\xff\u0100\u0660\u2028\u4e00"
"""One character of each kind, besides those around what the expression names."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the expression: whether it may be empty, and its first and last positions."""

    nullable: bool
    first: tuple[int, ...]
    last: tuple[int, ...]


@dataclass
class Automaton:
    """Position i reads one of `reads[i]`; after it comes one of `follow[i]`, doubles included."""

    reads: list[frozenset[int]] = field(default_factory=list)
    follow: list[list[int]] = field(default_factory=list)
    atomic: list[bool] = field(default_factory=list)
    accepts: frozenset[int] = frozenset()


class _Builder:
    """From the parse tree to the automaton. `findings`: what is wrong at first sight."""

    def __init__(self, characters: Iterable[int], flags: int) -> None:
        self._characters = frozenset(characters)
        self._flags = flags
        self._atomic = False
        self.automaton = Automaton()
        self.findings: list[str] = []
        self.ends = False

    def position(self, reads: frozenset[int]) -> Part:
        self.automaton.reads.append(reads)
        self.automaton.follow.append([])
        self.automaton.atomic.append(self._atomic)
        at = (len(self.automaton.reads) - 1,)
        return Part(nullable=False, first=at, last=at)

    def link(self, before: Part, after: Part) -> None:
        for at in before.last:
            self.automaton.follow[at].extend(after.first)

    def sequence(self, parts: Iterable[Part]) -> Part:
        whole = Part(nullable=True, first=(), last=())
        for part in parts:
            self.link(whole, part)
            whole = Part(
                whole.nullable and part.nullable,
                whole.first + part.first if whole.nullable else whole.first,
                part.last + whole.last if part.nullable else part.last,
            )
        return whole

    def tree(self, items: Any) -> Part:
        return self.sequence(self._item(code, value) for code, value in items)

    def _item(self, code: Any, value: Any) -> Part:  # noqa: PLR0911 - one for each kind of node
        empty = Part(nullable=True, first=(), last=())
        if code in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            return self.position(frozenset(filter(self._reader(code, value), self._characters)))
        if code is op.SUBPATTERN:
            _, added, removed, items = value
            before = self._flags
            self._flags = (before | added) & ~removed
            part = self.tree(items)
            self._flags = before
            return part
        if code is op.BRANCH:
            return self._branches([self.tree(items) for items in value[1]])
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            return self._repeat(*value)
        if code is op.POSSESSIVE_REPEAT:
            return self._only_way(value[2], lambda: self._repeat(*value))
        if code is op.ATOMIC_GROUP:
            return self._only_way(value, lambda: self.tree(value))
        if code is op.AT:
            self.ends |= value in (op.AT_END, op.AT_END_STRING)
            return empty
        if code in (op.ASSERT, op.ASSERT_NOT):
            if value[1].getwidth()[1] >= op.MAXREPEAT:
                self.findings.append("it looks ahead or back without a bound")
            return empty
        self.findings.append(f"it can't be judged because of {code}")
        return empty

    def _branches(self, parts: Sequence[Part]) -> Part:
        return Part(
            any(part.nullable for part in parts),
            tuple(at for part in parts for at in part.first),
            tuple(at for part in parts for at in part.last),
        )

    def _repeat(self, least: int, most: Any, items: Any) -> Part:
        many = most > _FEW
        parts = [self.tree(items) for _ in range(max(1, min(least, _FEW) if many else most))]
        if many:
            self.link(parts[-1], parts[-1])
        needed = min(least, len(parts))
        return self.sequence(
            part if at < needed else Part(nullable=True, first=part.first, last=part.last)
            for at, part in enumerate(parts)
        )

    def _only_way(self, body: Any, build: Any) -> Part:
        if not self._atomic:
            self.findings += _findings(body, self._flags, self._characters, whole=False)
        before, self._atomic = self._atomic, True
        part: Part = build()
        self._atomic = before
        return part

    def _reader(self, code: Any, value: Any) -> Any:
        flags = self._flags

        def variants(character: int) -> set[str]:
            own = chr(character)
            return {own, own.lower(), own.upper()} if flags & re.IGNORECASE else {own}

        def reads(character: int) -> bool:
            if code is op.ANY:
                return bool(flags & re.DOTALL) or character != ord("\n")
            if code is op.LITERAL:
                return chr(value) in variants(character)
            if code is op.NOT_LITERAL:
                return chr(value) not in variants(character)
            members = [member for member in value if member[0] is not op.NEGATE]
            inside = any(_holds(*member, variants(character)) for member in members)
            return inside == (len(members) == len(value))

        return reads


def _holds(code: Any, value: Any, characters: Iterable[str]) -> bool:
    if code is op.LITERAL:
        return chr(value) in characters
    if code is op.RANGE:
        return any(value[0] <= ord(each) <= value[1] for each in characters if len(each) == 1)
    kind = {
        op.CATEGORY_DIGIT: r"\d",
        op.CATEGORY_NOT_DIGIT: r"\D",
        op.CATEGORY_SPACE: r"\s",
        op.CATEGORY_NOT_SPACE: r"\S",
        op.CATEGORY_WORD: r"\w",
        op.CATEGORY_NOT_WORD: r"\W",
    }[value]
    return any(re.fullmatch(kind, each) for each in characters)


def _named(items: Any) -> Iterator[int]:
    """The code points that a parse tree names."""
    if isinstance(items, _parser.SubPattern | list | tuple):
        for each in items:
            yield from _named(each)
    elif isinstance(items, int) and not isinstance(items, op._NamedIntConstant):
        yield items


def findings(pattern: str | bytes, flags: int = 0, *, whole: bool, anywhere: bool) -> list[str]:
    """Why the expression may take more than linear time; empty where it can't.

    `whole`: it must match to the text's end; `anywhere`: it is tried at each place of the text.
    """
    tree = _parser.parse(pattern, flags)
    most = 0xFF if isinstance(pattern, bytes) else 0x10FFFF
    named = {at + by for at in _named(tree) for by in (-1, 0, 1)}
    characters = {at for at in named | set(map(ord, _SAMPLES)) if 0 <= at <= most}
    starts = bool(tree) and tree[0] in (
        (op.AT, op.AT_BEGINNING),
        (op.AT, op.AT_BEGINNING_STRING),
    )
    multiline = tree.state.flags & re.MULTILINE
    return _findings(
        tree,
        tree.state.flags,
        characters,
        whole=whole,
        anywhere=anywhere and not (starts and not multiline),
    )


def _findings(
    tree: Any, flags: int, characters: Iterable[int], *, whole: bool, anywhere: bool = False
) -> list[str]:
    builder = _Builder(characters, flags)
    parts = []
    if anywhere:
        skipped = builder.position(frozenset(characters))
        builder.link(skipped, skipped)
        parts.append(Part(nullable=True, first=skipped.first, last=skipped.last))
    inner = builder.tree(tree)
    if anywhere:
        builder.link(parts[0], inner)
    automaton = builder.automaton
    if not whole and not builder.ends:
        # Who comes here has matched, and gives nothing up.
        automaton.accepts = frozenset(inner.last)
    return [*builder.findings, *_ambiguities(automaton)]


def _ambiguities(automaton: Automaton) -> Iterator[str]:
    states = [at for at in range(len(automaton.reads)) if at not in automaton.accepts]
    allowed = set(states)

    def steps(at: int) -> list[tuple[int, int]]:
        edges = enumerate(automaton.follow[at])
        return [(edge, to) for edge, to in edges if to in allowed]

    @cache
    def reach(at: int) -> frozenset[int]:
        seen: set[int] = set()
        todo = [to for _, to in steps(at)]
        while todo:
            if (to := todo.pop()) not in seen:
                seen.add(to)
                todo += [after for _, after in steps(to)]
        return frozenset(seen)

    looping = [at for at in states if at in reach(at)]
    for at in looping:
        loop = {to for to in reach(at) if at in reach(to)}
        if _twice(automaton, steps, at, loop):
            yield "a loop can read one text in two ways: exponential time"
            return
    for one in looping:
        for other in looping:
            if other != one and other in reach(one):
                first = {to for to in reach(one) if one in reach(to)}
                second = {to for to in reach(other) if other in reach(to)}
                if other in first and one in second:
                    continue  # one loop, looked at above
                between = first | second | {to for to in reach(one) if other in reach(to)}
                if _split(automaton, steps, one, other, (first, between, second)):
                    yield "two loops, one after the other, can share one text: quadratic time"
                    return


def _twice(automaton: Automaton, steps: Any, start: int, loop: set[int]) -> bool:
    """Whether the loop comes from `start` to `start` on one text in two ways."""
    seen = set()
    todo = [(start, start, False)]
    while todo:
        one, two, apart = todo.pop()
        for edge, to in steps(one):
            for edge_two, to_two in steps(two):
                if to not in loop or to_two not in loop:
                    continue
                if one == two and edge != edge_two and automaton.atomic[one] and not apart:
                    continue
                if not automaton.reads[to] & automaton.reads[to_two]:
                    continue
                after = (to, to_two, apart or (one == two and edge != edge_two))
                if after == (start, start, True):
                    return True
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
    return False


def _split(
    automaton: Automaton,
    steps: Any,
    one: int,
    other: int,
    regions: tuple[set[int], set[int], set[int]],
) -> bool:
    """Whether one text leads from `one` to itself, from `one` to `other`, and from `other` back."""
    seen = set()
    todo = [(one, one, other, False)]
    while todo:
        *at, apart = todo.pop()
        for edge, to in steps(at[0]):
            if to not in regions[0]:
                continue
            for edge_two, to_two in steps(at[1]):
                parts = at[0] == at[1] and edge != edge_two
                if to_two not in regions[1] or (parts and not apart and automaton.atomic[at[0]]):
                    continue
                both = automaton.reads[to] & automaton.reads[to_two]
                if not both:
                    continue
                for _, to_three in steps(at[2]):
                    if to_three not in regions[2] or not both & automaton.reads[to_three]:
                        continue
                    after = (to, to_two, to_three, apart or parts)
                    if after[:3] == (one, other, other):
                        return True
                    if after not in seen:
                        seen.add(after)
                        todo.append(after)
    return False
