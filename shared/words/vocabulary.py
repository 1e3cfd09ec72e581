"""Words that a tenant's catalogue knows, and the nearest of them to one that it doesn't. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from heapq import nsmallest
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

READABLE: Final = "="
"""Begins an entry of the list `words` that is no term but a word as it is written, if none of its
stems is. Corrections show it, because `batteri` would help nobody."""

MARK: Final = "\t"
"""In the entry that says which analyser made the list, and in no other."""

MIN_LETTERS: Final = 4
_TWO_EDITS_FROM: Final = 8
_CHOICES: Final = 3
"""Words that one slip is looked for as: `sick` may be `tick` or `stick`."""


class Vocabulary:
    """The entries of the products' lists `words`, and the number of products with each.

    Threads may share it: nothing of it changes but what is made once, and equal then.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def __contains__(self, term: str) -> bool:
        return term in self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, term: str) -> int:
        """The number of products with the term."""
        return self._counts.get(term, 0)

    def nearest(self, word: str, *, edits: int) -> list[str]:
        """Known words near to a folded one, stems and words as they are written: of those at so
        many edits (Damerau and Levenshtein's: a letter dropped, added, replaced, or two neighbours
        swapped) the three in most products. None of them if the word has a digit, or is too short
        for so many edits.
        """
        if len(word) < (MIN_LETTERS if edits == 1 else _TWO_EDITS_FROM) or not word.isalpha():
            return []
        near = [
            (-self._words[candidate], candidate)
            for length in range(len(word) - edits, len(word) + edits + 1)
            for candidate, distance, _ in process.extract(
                word,
                self._by_length.get(length, ()),
                scorer=OSA.distance,
                score_cutoff=edits,
                processor=None,
                limit=None,
            )
            if distance == edits
        ]
        return [candidate for _, candidate in nsmallest(_CHOICES, near)]

    def written_like(self, stem: str) -> Iterator[tuple[str, int]]:
        """Words as they are written that may have the stem, each with its number of products."""
        beginning = stem[:-1]
        at = bisect_left(self._written, beginning)
        while at < len(self._written) and self._written[at].startswith(beginning):
            yield self._written[at], self.count(READABLE + self._written[at])
            at += 1

    @cached_property
    def _words(self) -> Mapping[str, int]:
        words: dict[str, int] = {}
        for entry, count in self._counts.items():
            word = entry.removeprefix(READABLE)
            if word.isalpha() and len(word) >= MIN_LETTERS - 1:
                words[word] = max(count, words.get(word, 0))
        return words

    @cached_property
    def _by_length(self) -> Mapping[int, list[str]]:
        by_length: dict[int, list[str]] = defaultdict(list)
        for word in self._words:
            by_length[len(word)].append(word)
        return dict(by_length)

    @cached_property
    def _written(self) -> list[str]:
        return sorted(entry[1:] for entry in self._counts if entry.startswith(READABLE))
