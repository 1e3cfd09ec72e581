"""A product's words as the index holds them. Pure."""

from shared.models.product import Product, StoredProduct
from shared.qdrant.points import CODES, IndexedWords
from shared.qdrant.vectors import WORDS
from shared.words.analyser import Analyser, worded


def words_of(analyser: Analyser, product: Product) -> IndexedWords:
    """The product's words, with their vector."""
    return IndexedWords(*analyser.of_product(product))


def words_beside(analyser: Analyser, product: Product, stored: StoredProduct) -> IndexedWords:
    """The product's words, and those that are stored if its text is.

    Changes of price and stock take no analysis then, and no vector is written for them.
    """
    held = stored.payload.get(WORDS)
    if held and held[0] == analyser.mark and worded(product) == worded(stored.product):
        return IndexedWords(held, stored.payload[CODES], None)
    return words_of(analyser, product)
