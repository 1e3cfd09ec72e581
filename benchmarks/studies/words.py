"""How well words alone rank, on products that people rated: nDCG@10 by variants of the analyser.

`python -m benchmarks.studies.words DATA` reads `DATA/products.ndjson.gz` and `DATA/ratings.csv`
(query, product_id, rating), makes each product's vector and terms with the analyser, and ranks as
Qdrant does: the values of both vectors, times ln((N − n + 0.5) / (n + 0.5) + 1) of n products among
N with the term, among the products that the query's words admit. *Rated alone* leaves unrated
products out of the ranking, because nobody said that they are wrong. An interval is the bootstrap's
over the queries (95 %), of the difference to the first variant if one is named.

With `--garbled`: queries of which one letter was dropped, doubled, swapped or replaced, against the
same queries as they were. With `--codes`: codes of the catalogue as people type them.
"""

import argparse
import csv
import gzip
import json
import math
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np

from shared.models.product import Product
from shared.words import analyser as module
from shared.words.analyser import Analyser, Field, QueryWords
from shared.words.codes import exact_terms, prefix_terms
from shared.words.vocabulary import Vocabulary

DEPTH: Final = 10
RESAMPLES: Final = 2000
Ratings = Mapping[str, Mapping[str, int]]
_FIELDS: Final = tuple(Product.model_fields)


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
        order = np.lexsort(([self.ids[at] for at in admitted], -scores[admitted]))
        return [self.ids[at] for at in admitted[order]]

    def asked(self, text: str) -> list[str]:
        return self.ranked(self.analyser.of_query(text, self.vocabulary))


def ndcg(ranked: Iterable[str], ratings: Mapping[str, int]) -> float:
    """Normalised discounted cumulative gain of the first ten, with gains of 2^rating − 1."""
    gains = [2 ** ratings.get(product, 0) - 1 for _, product in zip(range(DEPTH), ranked)]
    best = sorted((2**rating - 1 for rating in ratings.values()), reverse=True)[:DEPTH]
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
