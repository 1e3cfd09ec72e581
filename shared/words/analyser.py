"""What the index holds of a product's words, and how a query asks for them. Pure.

A product's score for a query is BM25's: Qdrant multiplies the values of both vectors by how rare a
term is (its modifier `idf`), and what a term says of this product is in the product's own vector.
How the fields weigh, and how length counts, was chosen by ratings (docs/decisions/0020-words.md).
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, Final, NamedTuple

from shared.models.folding import fold
from shared.models.product import Product
from shared.models.terms import members
from shared.words.codes import Code, code_of_query, codes_of, fold_code
from shared.words.languages import LIBRARY_VERSION, Stems
from shared.words.sparse import SparseVector, dimension, sparse_vector
from shared.words.tokens import MAX_WORD, Compound, compounds, is_number, short_pair
from shared.words.vocabulary import MARK, MIN_LETTERS, READABLE, Vocabulary

_RELEASE: Final = 1
"""Counted up whenever the same product shall have other words, vectors or codes."""


class Field(NamedTuple):
    """How a field counts. `length`: its usual number of words, at which nothing is added or taken
    away for its length; `slope`: how much is, from 0 (nothing) to 1 (in proportion)."""

    weight: float
    length: float
    slope: float
    spelled: bool = True
    """Whether its words are also kept as they are written, and short neighbours as one word."""


FIELDS: Final[Mapping[str, Field]] = {
    "name": Field(3.0, 10, 0.5),
    "brand": Field(2.0, 1, 0.0),
    "category": Field(1.5, 3, 0.5),
    "attributes": Field(1.0, 12, 0.4),
    "description": Field(0.5, 40, 0.25, spelled=False),
    # Many shops write prose where a part number goes; and codes are typed with other words, too.
    "mpn": Field(0.15, 4, 0.5, spelled=False),
    "sku": Field(0.15, 4, 0.5, spelled=False),
}

SATURATION: Final = 2.0
"""BM25's k1: how soon a term that is said once more adds nothing."""

TYPO: Final = 0.8
"""The weight of a word that was corrected."""

MAX_WORDS: Final = 2000
"""Words of a product that are looked at. The longest description, 8,000 characters, has some 1,300;
this bounds a hostile product's time to some 20 ms."""

MAX_TERMS: Final = 1024
"""Distinct terms of a product, the name's first. 8,000 characters of prose have some 600, and a
list of 1,024 takes some 10 kB of payload."""

MAX_QUERY_WORDS: Final = 32
"""Distinct words of a query, the first ones; each is a condition for Qdrant."""

_ATTRIBUTE_CHARACTERS: Final = 8000

_REPEATED: Final = 32
"""Characters of the longest text whose words are kept: brands, categories, and values of attributes
are short, and the same in many products."""

_SIZE: Final = 2
"""Letters of the longest word that has no stem: French would make XS an X."""


class ProductWords(NamedTuple):
    """A product's entries in the index: `terms` for the list `words` (the analyser's mark first),
    `codes` for the list of that name, and the sparse vector."""

    terms: tuple[str, ...]
    codes: tuple[str, ...]
    vector: SparseVector


class QueryWord(NamedTuple):
    """A word of a query, folded, and the terms any of which satisfies it."""

    text: str
    terms: tuple[str, ...]
    weight: float = 1.0


class QueryWords(NamedTuple):
    """A query's words. A product matches that satisfies `needed` of `words`; none does if there
    are no words. `corrected`: what was looked for instead, by what was typed. `unknown`: words
    that neither the catalogue knows nor a correction was found for."""

    words: tuple[QueryWord, ...]
    needed: int
    vector: SparseVector
    code: Code | None
    corrected: Mapping[str, str]
    unknown: tuple[str, ...]


WORDED_FIELDS: Final = ("id", "sku", "gtin", "mpn", "name", "brand", "category", "description")
"""The fields beside attributes that terms, codes and vectors are made of."""


def worded(product: Product) -> tuple[Any, ...]:
    """All that a product's words are made of: where it is equal, they are. Prices, stock as a
    number, and dates are no part of it."""
    return (
        *(getattr(product, field, None) for field in WORDED_FIELDS),
        *_attribute_texts(product.attributes),
    )


class _Forms(NamedTuple):
    """A word's terms, their dimensions, and the entry that shows how it is written, if needed."""

    terms: tuple[str, ...]
    dimensions: tuple[int, ...]
    readable: str | None
    telling: bool
    """Whether a term alone tells that the word is known."""


class Analyser:
    """Makes terms, codes and vectors, with the stems of the shop's languages. Threads share it.

    `version` names all that decides what is made; `mark` is its entry in every product's list.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        """Raises ValueError if a language is none of Snowball's."""
        self._stems = Stems(languages)
        self._forms = lru_cache(maxsize=65_536)(self._forms_anew)
        self.version = f"{_RELEASE} {LIBRARY_VERSION} {','.join(languages)}"
        self.mark = f"words{MARK}{self.version}"

    def of_product(self, product: Product) -> ProductWords:
        """A product's terms, codes and vector; at most `MAX_TERMS` terms, the name's first."""
        terms: dict[str, None] = {self.mark: None}
        said: dict[int, float] = defaultdict(float)
        forms_of = self._forms
        left = MAX_WORDS
        for name, field in FIELDS.items():
            words = _words(product, name, left, spelled=field.spelled)
            left -= len(words)
            length = 1 - field.slope + field.slope * len(words) / field.length
            weight, spelled = field.weight / length, field.spelled
            for its_terms, dimensions, readable, telling in map(forms_of, words):
                if len(terms) > MAX_TERMS - len(its_terms):
                    break
                for term in its_terms:
                    terms[term] = None
                for index in dimensions:
                    said[index] += weight
                if readable and (spelled or not telling):
                    terms[readable] = None
        vector = sparse_vector(
            {index: weight / (SATURATION + weight) for index, weight in said.items()}
        )
        return ProductWords(tuple(terms), codes_of(product), vector)

    def of_query(self, text: str, vocabulary: Vocabulary | None) -> QueryWords:
        """A query's words. Without a vocabulary nothing is corrected, and nothing unknown."""
        words: dict[tuple[str, ...], QueryWord] = {}
        corrected: dict[str, str] = {}
        unknown: list[str] = []
        for word in self._asked(text, vocabulary):
            known = _known(word, vocabulary)
            found = [known] if known else self._corrected(word, vocabulary)
            if not known and found:
                corrected[word.text] = " ".join(one.text for one in found)
            elif not known:
                unknown.append(word.text)
            for one in found or [word]:
                words.setdefault(one.terms, one)
            if len(words) >= MAX_QUERY_WORDS:
                break
        chosen = tuple(words.values())[:MAX_QUERY_WORDS]
        return QueryWords(
            words=chosen,
            needed=needed(len(chosen)),
            vector=_asked_vector(chosen),
            code=code_of_query(text, known=self._knows(fold_code(text), vocabulary)),
            corrected=corrected,
            unknown=tuple(unknown),
        )

    def _knows(self, word: str, vocabulary: Vocabulary | None) -> bool:
        return vocabulary is None or any(term in vocabulary for term in self._forms(word).terms)

    def _asked(self, text: str, vocabulary: Vocabulary | None) -> Iterator[QueryWord]:
        groups = list(islice(compounds(text), 2 * MAX_QUERY_WORDS))
        singles = [group.single for group in groups]
        for at, group in enumerate(groups):
            if singles[at] is None and self._is_one(group, vocabulary):
                solids = (*group.solids, *(group.parts if len(group.parts) == 1 else ()))
                yield self._word(group.solids[0], solids)
                continue
            for part in group.parts:
                forms = [part, *group.solids]
                if singles[at] is not None:
                    forms += _joined(singles, at)
                yield self._word(part, forms)

    def _is_one(self, group: Compound, vocabulary: Vocabulary | None) -> bool:
        """Whether a compound counts as one word: t-shirt does, and so does l'Oréal."""
        if not group.solids:
            return False
        short = min(map(len, group.parts)) <= 2 or len(group.parts) == 1
        if not short or not all(map(str.isalpha, group.parts)):
            return False
        return any(self._knows(solid, vocabulary) for solid in group.solids)

    def _word(self, text: str, forms: Sequence[str]) -> QueryWord:
        terms = dict.fromkeys(term for form in forms for term in self._forms(form).terms)
        return QueryWord(_folded(text), tuple(terms))

    def _corrected(self, word: QueryWord, vocabulary: Vocabulary | None) -> list[QueryWord]:
        """The known words that stand nearest: those at one edit, or two without the space between
        them, or those at two edits. The text is the most frequent's, as the catalogue writes it."""
        if vocabulary is None:
            return []
        near = vocabulary.nearest(word.text, edits=1)
        if not near and (halves := self._halves(word.text, vocabulary)):
            return halves
        near = near or vocabulary.nearest(word.text, edits=2)
        if not near:
            return []
        terms = dict.fromkeys(term for one in near for term in self._forms(one).terms)
        shown = self._readable(near[0], vocabulary)
        return [QueryWord(shown, (*(terms | dict.fromkeys(word.terms)),), TYPO)]

    def _halves(self, text: str, vocabulary: Vocabulary) -> list[QueryWord]:
        if not text.isalpha():
            return []
        splits = (
            (self._word(text[:at], [text[:at]]), self._word(text[at:], [text[at:]]))
            for at in range(MIN_LETTERS - 1, len(text) - MIN_LETTERS + 2)
        )
        best = max(
            splits,
            key=lambda halves: min(_products(half, vocabulary) for half in halves),
            default=(),
        )
        known = best and all(_products(half, vocabulary) for half in best)
        return [half._replace(weight=TYPO) for half in best] if known else []

    def _readable(self, word: str, vocabulary: Vocabulary) -> str:
        """The word as it is written in the catalogue, if it is a stem that nobody writes."""
        if READABLE + word in vocabulary:
            return word
        written = [
            (count, other)
            for other, count in vocabulary.written_like(word)
            if word in self._forms(other).terms
        ]
        if sum(count for count, _ in written) < vocabulary.count(word):
            return word
        return max(written)[1]

    def _forms_anew(self, word: str) -> _Forms:
        folded = _folded(word)
        if not word.isalpha() or len(word) <= _SIZE:
            terms: tuple[str, ...] = (folded,)
        elif folded.isascii():
            terms = self._stems.of(folded)
        else:
            # Stemmers of other scripts know the marks that folding drops, as in й.
            terms = tuple(dict.fromkeys(map(_folded, self._stems.of(word))))
        shown = len(folded) >= MIN_LETTERS and folded.isalpha() and folded not in terms
        return _Forms(
            terms,
            tuple(map(dimension, terms)),
            f"{READABLE}{folded}" if shown else None,
            any(_tells(term, folded) for term in terms),
        )


def needed(words: int) -> int:
    """How many of so many words a product must have: all of two, two thirds of three or more."""
    return words if words <= 2 else -(-2 * words // 3)


def _words(product: Product, name: str, limit: int, *, spelled: bool) -> list[str]:
    words: list[str] = []
    for text in _texts(product, name):
        if len(text) <= _REPEATED:
            words += _kept_words(text, spelled)
        else:
            words += islice(_words_of(text, spelled), limit - len(words))
        if len(words) >= limit:
            return words[:limit]
    return words


@lru_cache(maxsize=16_384)
def _kept_words(text: str, spelled: bool) -> tuple[str, ...]:
    return tuple(_words_of(text, spelled))


def _words_of(text: str, spelled: bool) -> Iterator[str]:
    before: str | None = None
    for _, _, _, words, single in compounds(text):
        yield from words
        if spelled and before is not None and single is not None and short_pair(before, single):
            yield before + single
        before = single


def _texts(product: Product, name: str) -> Iterator[str]:
    if name == "attributes":
        yield from _attribute_texts(product.attributes)
    elif (text := getattr(product, name, None)) is not None:
        yield text


def _attribute_texts(attributes: Mapping[str, Any]) -> Iterator[str]:
    """The strings among the values. A number may be the stock, which changes every minute."""
    left = _ATTRIBUTE_CHARACTERS
    for held in attributes.values():
        for value in members(held):
            if isinstance(value, str):
                yield value[:left]
                left -= len(value)
                if left <= 0:
                    return


def _joined(singles: Sequence[str | None], at: int) -> Iterator[str]:
    """The word at this place as one with its neighbours: head set is headset."""
    for first, second in pairwise(singles[max(0, at - 1) : at + 2]):
        if first is None or second is None or (is_number(first) and is_number(second)):
            continue
        if len(first) + len(second) <= MAX_WORD:
            yield first + second


def _known(word: QueryWord, vocabulary: Vocabulary | None) -> QueryWord | None:
    """The word with those of its terms that the catalogue knows; None if it knows none."""
    if vocabulary is None:
        return word
    terms = tuple(term for term in word.terms if term in vocabulary)
    known = READABLE + word.text in vocabulary or any(_tells(term, word.text) for term in terms)
    return word._replace(terms=terms) if terms and known else None


def _tells(stem: str, word: str) -> bool:
    """Whether somebody who wrote this stem's word may have written the other, too. French stems
    make `ca` of `caera`, a slip for `camera`."""
    return len(stem) >= MIN_LETTERS or len(word) - len(stem) <= 1


def _products(word: QueryWord, vocabulary: Vocabulary) -> int:
    return max(map(vocabulary.count, word.terms))


def _asked_vector(words: Sequence[QueryWord]) -> SparseVector:
    weights: dict[int, float] = {}
    for word in words:
        for term in word.terms:
            index = dimension(term)
            weights[index] = max(word.weight, weights.get(index, 0.0))
    return sparse_vector(weights)


@lru_cache(maxsize=16_384)
def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", fold(word))[:MAX_WORD]
