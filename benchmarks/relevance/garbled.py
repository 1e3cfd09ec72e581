"""Queries with one letter wrong, against the same queries as they are spelt."""

import random
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks.relevance.scores import Queries, ask, at_least, mean
from benchmarks.relevance.shops import Product, Shop
from benchmarks.results import Row
from vitrine.relevance.evaluation import NDCG

_COUNT: Final = 200
_LEAST_LETTERS: Final = 4
_WORD: Final = re.compile(r"[a-z]+")


def _dropped(rng: random.Random, word: str) -> str:
    at = rng.randrange(len(word))
    return word[:at] + word[at + 1 :]


def _doubled(rng: random.Random, word: str) -> str:
    at = rng.randrange(len(word))
    return word[:at] + word[at] + word[at:]


def _swapped(rng: random.Random, word: str) -> str:
    at = rng.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _replaced(rng: random.Random, word: str) -> str:
    at = rng.randrange(len(word))
    return word[:at] + rng.choice(string.ascii_lowercase.replace(word[at], "")) + word[at + 1 :]


_GARBLES: Final[Sequence[Callable[[random.Random, str], str]]] = (
    _dropped,
    _doubled,
    _swapped,
    _replaced,
)


def measure(
    shop: Shop, catalogue: Iterable[Product], queries: Queries, name: str, **request: Any
) -> list[Row]:
    """The nDCG of garbled queries as a share of that of the right ones."""
    right = garbled(queries, catalogue)
    wrong = ask(shop, {typed: queries[meant] for typed, meant in right.items()}, **request)
    spelt = ask(shop, {query: queries[query] for query in set(right.values())}, **request)
    by_query = {query: spelt.queries[query].scores[NDCG] or 0.0 for query in spelt.queries}
    of_right = sum(by_query[query] for query in right.values()) / len(right)
    return [
        at_least(
            f"{name}: nDCG@10 with one letter wrong ÷ as spelt",
            mean(wrong, NDCG) / of_right,
            0.9,
            note=f"{len(right)} queries; {of_right:.3f} as spelt",
        )
    ]


def garbled(queries: Queries, catalogue: Iterable[Product]) -> Mapping[str, str]:
    """Garbled queries with the right ones, 200 if there are so many.

    One word of the catalogue is garbled in each, and becomes a word that no product has: another
    known word is a query of its own.
    """
    rng, known = random.Random(4), _words(catalogue)
    found: dict[str, str] = {}
    candidates = [
        (query, word)
        for query in queries
        for word in _WORD.findall(query)
        if len(word) >= _LEAST_LETTERS and word in known
    ]
    for number in range(20 * _COUNT):
        query, word = rng.choice(candidates)
        wrong = _GARBLES[number % len(_GARBLES)](rng, word)
        if wrong not in known and len(wrong) >= _LEAST_LETTERS:
            found[re.sub(rf"\b{word}\b", wrong, query, count=1)] = query
        if len(found) == _COUNT:
            break
    return found


def _words(catalogue: Iterable[Product]) -> set[str]:
    words: set[str] = set()
    for product in catalogue:
        for text in (product["name"], product.get("description") or ""):
            words.update(_WORD.findall(text.lower()))
        for value in (product.get("attributes") or {}).values():
            words.update(_WORD.findall(str(value).lower()))
        words.update(_WORD.findall(f"{product.get('brand')} {product.get('category')}".lower()))
    return words
