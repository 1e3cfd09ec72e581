"""How well words alone rank, on products that people rated: nDCG@10 by variants of the analyser.

`python -m benchmarks.studies.words DATA` reads `DATA/products.ndjson.gz` and `DATA/ratings.csv`
(query, product_id, rating), makes each product's vector and terms with the analyser, and ranks as
Qdrant does: the values of both vectors, times ln((N − n + 0.5) / (n + 0.5) + 1) of n products among
N with the term, among the products that the query's words admit. *Rated alone* leaves unrated
products out of the ranking, because nobody said that they are wrong. An interval is the bootstrap's
over the queries (95 %). *Garbled*: queries of which one letter was dropped, doubled, swapped or
replaced in a word of four letters or more, against the same queries as they were.
"""

import argparse
import csv
import gzip
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np

from shared.models.product import Product
from shared.words import analyser as module
from shared.words.analyser import FIELDS, SATURATION, Analyser, Field, QueryWords
from shared.words.vocabulary import Vocabulary

DEPTH: Final = 10
RESAMPLES: Final = 2000
GARBLED: Final = 200
SHORTEST: Final = 4
"""Letters of the shortest word that is garbled; shorter ones are never corrected."""

Ratings = Mapping[str, Mapping[str, int]]
_Variant = tuple[str, Sequence[str], Mapping[str, Field], float]


def _with(**changed: Any) -> Mapping[str, Field]:
    return {name: field._replace(**changed) for name, field in FIELDS.items()}


def _without(*names: str) -> Mapping[str, Field]:
    return {name: field for name, field in FIELDS.items() if name not in names}


_BOTH: Final = ("en", "fr")
VARIANTS: Final[Sequence[_Variant]] = (
    ("as it is", _BOTH, FIELDS, SATURATION),
    ("English stems alone", ("en",), FIELDS, SATURATION),
    ("no stems", (), FIELDS, SATURATION),
    ("all fields weigh the same", _BOTH, _with(weight=1.0), SATURATION),
    ("length counts nothing", _BOTH, _with(slope=0.0), SATURATION),
    ("length counts in proportion", _BOTH, _with(slope=1.0), SATURATION),
    ("names alone", _BOTH, {"name": FIELDS["name"]}, SATURATION),
    ("without part numbers", _BOTH, _without("mpn", "sku"), SATURATION),
    ("k1 = 1.2", _BOTH, FIELDS, 1.2),
    ("k1 = 4", _BOTH, FIELDS, 4.0),
)


class Index:
    """A catalogue's vectors and lists, as Qdrant would hold them."""

    def __init__(self, products: Sequence[Product], analyser: Analyser) -> None:
        self.ids = [product.id for product in products]
        self.analyser = analyser
        postings: dict[int, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
        listed: dict[str, list[int]] = defaultdict(list)
        self.codes: dict[str, list[int]] = defaultdict(list)
        for at, product in enumerate(products):
            words = analyser.of_product(product)
            for index, value in zip(*words.vector, strict=True):
                positions, values = postings[index]
                positions.append(at)
                values.append(value)
            for term in words.terms:
                listed[term].append(at)
            for code in words.codes:
                self.codes[code].append(at)
        self._postings = {
            index: (np.array(positions), np.array(values, np.float32))
            for index, (positions, values) in postings.items()
        }
        self._listed = {term: np.array(positions) for term, positions in listed.items()}
        self.vocabulary = Vocabulary({term: len(at) for term, at in listed.items()})

    def ranked(self, query: QueryWords) -> list[str]:
        """Ids of all products that the query admits, the best first."""
        scores = np.zeros(len(self.ids), np.float32)
        for index, weight in zip(*query.vector, strict=True):
            if index in self._postings:
                at, values = self._postings[index]
                idf = math.log((len(self.ids) - len(at) + 0.5) / (len(at) + 0.5) + 1)
                scores[at] += weight * idf * values
        satisfied = np.zeros(len(self.ids), np.int32)
        for word in query.words:
            has = np.zeros(len(self.ids), bool)
            for term in word.terms:
                if term in self._listed:
                    has[self._listed[term]] = True
            satisfied += has
        admitted = np.flatnonzero((satisfied >= query.needed) & (scores > 0))
        order = np.lexsort((np.array(self.ids)[admitted], -scores[admitted]))
        return [self.ids[at] for at in admitted[order]]

    def asked(self, text: str) -> list[str]:
        return self.ranked(self.analyser.of_query(text, self.vocabulary))


def ndcg(ranked: Iterable[str], ratings: Mapping[str, int]) -> float:
    """Normalised discounted cumulative gain of the first ten, with gains as the ratings say."""
    gains = [ratings.get(product, 0) for product in islice(ranked, DEPTH)]
    best = sorted(ratings.values(), reverse=True)[:DEPTH]
    return _discounted(gains) / (_discounted(best) or 1)


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(at + 2) for at, gain in enumerate(gains))


def measured(index: Index, ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    """nDCG@10 by query, over all products and over the rated alone."""
    whole, rated = [], []
    for text, judged in ratings.items():
        ranked = index.asked(text)
        whole.append(ndcg(ranked, judged))
        rated.append(ndcg((product for product in ranked if product in judged), judged))
    return np.array(whole), np.array(rated)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The bootstrap's 95 % interval of the mean."""
    chosen = np.random.default_rng(1).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(1), (2.5, 97.5))
    return float(low), float(high)


def read(data: Path) -> tuple[list[Product], Ratings]:
    """The products, and the ratings by query."""
    with gzip.open(data / "products.ndjson.gz", "rt", encoding="utf-8") as lines:
        # As a worker builds them from the index; the drawn pictures have no part here.
        products = [Product.model_construct(**json.loads(line)) for line in lines]
    ratings: dict[str, dict[str, int]] = defaultdict(dict)
    with (data / "ratings.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            ratings[row["query"]][row["product_id"]] = int(row["rating"])
    return products, ratings


def garbled(text: str, chance: random.Random) -> str:
    """The text with one letter of one word dropped, doubled, swapped or replaced."""
    words = text.split()
    at = chance.choice([at for at, word in enumerate(words) if len(word) >= SHORTEST])
    word = words[at]
    place = chance.randrange(len(word) - 1)
    other = chance.choice("abcdefghijklmnopqrstuvwxyz")
    words[at] = chance.choice(
        [
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
            word[:place] + word[place + 1] + word[place] + word[place + 2 :],
            word[:place] + other + word[place + 1 :],
        ]
    )
    return " ".join(words)


def garbled_ratio(index: Index, ratings: Ratings) -> float:
    """nDCG@10 of `GARBLED` garbled queries, over that of the same queries as they were."""
    chance = random.Random(1)
    long_enough = [text for text in ratings if any(len(w) >= SHORTEST for w in text.split())]
    texts = [chance.choice(long_enough) for _ in range(GARBLED)]
    typed = [garbled(text, chance) for text in texts]
    return sum(
        ndcg(index.asked(wrong), ratings[text]) for wrong, text in zip(typed, texts, strict=True)
    ) / sum(ndcg(index.asked(text), ratings[text]) for text in texts)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    products, ratings = read(parser.parse_args().data)
    print(f"{'variant':44} nDCG@10 (95 %)        rated alone (95 %)")
    for name, languages, fields, saturation in VARIANTS:
        with (
            mock.patch.object(module, "FIELDS", fields),
            mock.patch.object(module, "SATURATION", saturation),
        ):
            index = Index(products, Analyser(languages))
        shown = [
            "{:.3f} ({:.3f} to {:.3f})".format(values.mean(), *interval(values))
            for values in measured(index, ratings)
        ]
        print(f"{name:44} {'  '.join(shown)}")
        if name == VARIANTS[0][0]:
            print(
                f"{'  of garbled queries, divided by this':44} {garbled_ratio(index, ratings):.3f}"
            )


if __name__ == "__main__":
    main()
