"""The checker of regular expressions finds what is slow, and what it lets pass is fast."""

import re
import time
from collections.abc import Iterator
from itertools import pairwise
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from tests.expressions.ambiguity import findings
from tests.expressions.listed import Expression, Unclear, expressions, in_source

EXPONENTIAL = "a loop can read one text in two ways: exponential time"
QUADRATIC = "two loops, one after the other, can share one text: quadratic time"


@pytest.mark.parametrize(
    ("pattern", "finding"),
    [
        (
            rb"^\s*(<\?xml.*?\?>\s*)?(<!--.*?-->\s*)*<(!doctype html|html|head|body)",
            EXPONENTIAL,
        ),
        (r"(a+)+b", EXPONENTIAL),
        (r"(a*)*b", EXPONENTIAL),
        (r"(a|ab|b)*c", EXPONENTIAL),
        (r"(?:\w+\s?)*$", EXPONENTIAL),
        (r"(.*?,){11}P", EXPONENTIAL),
        (r"(x+x+)+y", EXPONENTIAL),
        (r"(?>(a+)+b)c", EXPONENTIAL),
        (r"(?i:a+)+B", EXPONENTIAL),
        (r"(?:[^\x00-\x1f]|\w)*\n", EXPONENTIAL),
        (r"\s*\s*x", QUADRATIC),
        (r"a*.*b", QUADRATIC),
        (r"\d+\d+x", QUADRATIC),
        (r"\s*\s*+x", QUADRATIC),
        (r"a[^b]*c[^b]*d", QUADRATIC),
        (r"[a-z]{1,64}[a-z]{1,64}!", QUADRATIC),
        (r"(?=.*a)b", "it looks ahead or back without a bound"),
    ],
)
def test_what_backtracks_without_end_is_found(pattern: str | bytes, finding: str) -> None:
    assert finding in findings(pattern, whole=False, anywhere=False)


@pytest.mark.parametrize("pattern", [r"\s+$", r"\w+@", r"a.*b", r" *x"])
def test_what_is_slow_only_where_it_may_begin_anywhere_is_found(pattern: str) -> None:
    assert findings(pattern, whole=False, anywhere=True) == [QUADRATIC]
    assert findings(pattern, whole=False, anywhere=False) == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"\s*+(?:<!--(?:(?!-->).)*+-->\s*+)*+<(?:html|head)",
        rb"\s*+(?>(?><!--.*?-->)\s*+)*+<html",
        rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])',
        r"[a-z]+ [a-z]+",
        r"(?:ab)*c",
        r"a*b*c*d",
        r"(?:[a-z]+\.)*[a-z]+",
        r"[^;]*;[^;]*;",
        r"(?>a+)+b",
        r"(\d+(?:;\d+)*)?",
    ],
)
def test_what_takes_linear_time_passes(pattern: str | bytes) -> None:
    assert findings(pattern, whole=True, anywhere=False) == []


def test_who_has_matched_gives_nothing_up() -> None:
    assert findings(r"[^a-z0-9]+", whole=False, anywhere=True) == []
    assert findings(r"[^a-z0-9]+", whole=True, anywhere=True) == [QUADRATIC]


def test_expressions_are_found_with_their_flags_and_uses() -> None:
    source = """
import re
_WORD = r"[a-z]+"
_NAME = re.compile(rf"{_WORD}(?:-{_WORD})*", re.IGNORECASE | re.DOTALL)
SHOWN = re.compile("a" + "b%s" % "c")
def name(text):
    return _NAME.fullmatch(text) or re.sub("x", "", text, flags=re.MULTILINE)
"""
    name, shown, removed = in_source(source, "name.py")
    assert name.pattern == "[a-z]+(?:-[a-z]+)*"
    assert (name.flags, name.methods) == (re.IGNORECASE | re.DOTALL, {"fullmatch"})
    assert shown.pattern == "abc"
    assert shown.whole
    assert shown.anywhere  # whoever imports it may do anything
    assert (removed.pattern, removed.flags, removed.line) == ("x", re.MULTILINE, 7)


def test_what_is_put_together_at_run_time_needs_a_reason() -> None:
    assert not list(in_source("import re\nre.compile(x)  # linear: literals only", "a.py"))
    for source in ("import re\nre.compile(x)", "from re import compile", "import regex"):
        with pytest.raises(Unclear):
            list(in_source(source, "a.py"))


LISTED = expressions()


def test_all_of_the_tree_are_found() -> None:
    assert len(LISTED) > 20


@pytest.mark.parametrize("expression", LISTED, ids=lambda each: f"{each.file}:{each.line}")
def test_no_expression_takes_more_than_linear_time(expression: Expression) -> None:
    """Tried on texts that its own loops read, repeated, with an end that spoils the match."""
    compiled: re.Pattern[Any] = re.compile(expression.pattern, expression.flags)
    tried = (compiled.search, compiled.match, compiled.fullmatch)
    methods = [each for each in tried if each.__name__ in expression.methods]
    if expression.anywhere:
        methods.append(compiled.search)
    for begin, again in attacks(expression.pattern, expression.flags):
        for method in methods:
            # From short to long: one that is slow shows before it takes a minute.
            for times in (8, 16, 20, 24, 28, 64, 512, 4096, 32_768):
                for end in ("", "\0", "!x"):
                    text = begin + again * times + end
                    given: Any = text.encode("latin-1") if is_bytes(expression) else text
                    began = time.thread_time()
                    method(given)
                    assert time.thread_time() - began < 0.5, (begin, again, times, end)


def is_bytes(expression: Expression) -> bool:
    return isinstance(expression.pattern, bytes)


def attacks(pattern: str | bytes, flags: int) -> Iterator[tuple[str, str]]:
    """What comes before a loop, and what the loop reads: of each loop, and of each two."""
    words = list(dict.fromkeys(loops(_parser.parse(pattern, flags), "")))
    yield from words
    for (begin, one), (_, other) in pairwise(words):
        yield begin, one + other


def loops(items: Any, begin: str) -> Iterator[tuple[str, str]]:
    for code, value in items:
        name = str(code)
        if name.endswith("_REPEAT"):
            yield begin, example([(code, (1, 1, value[2]))])
            yield from loops(value[2], begin)
        elif name == "SUBPATTERN":
            yield from loops(value[3], begin)
        elif name == "ATOMIC_GROUP":
            yield from loops(value, begin)
        elif name == "BRANCH":
            for branch in value[1]:
                yield from loops(branch, begin)
        begin += example([(code, value)])


def example(items: Any) -> str:
    """A short text that the parse tree reads, but for what stands around it."""
    text = ""
    for code, value in items:
        name = str(code)
        if name == "LITERAL":
            text += chr(value)
        elif name == "IN":
            text += next(filter(_member_of(value), map(chr, range(32, 0x3000))), "a")
        elif name in ("ANY", "NOT_LITERAL"):
            text += "a"
        elif name.endswith("_REPEAT"):
            text += example(value[2]) * max(1, value[0])
        elif name == "SUBPATTERN":
            text += example(value[3])
        elif name == "ATOMIC_GROUP":
            text += example(value)
        elif name == "BRANCH":
            text += example(value[1][0])
    return text


def _member_of(members: Any) -> Any:
    negated = str(members[0][0]) == "NEGATE"
    kinds = {"SPACE": r"\s", "DIGIT": r"\d", "WORD": r"\w"}

    def holds(character: str) -> bool:
        for code, value in members:
            name = str(code)
            if name == "LITERAL" and chr(value) == character:
                return True
            if name == "RANGE" and value[0] <= ord(character) <= value[1]:
                return True
            if name == "CATEGORY":
                kind = kinds[str(value).rpartition("_")[2]]
                if (re.fullmatch(kind, character) is not None) == ("NOT" not in str(value)):
                    return True
        return False

    return lambda character: holds(character) != negated
