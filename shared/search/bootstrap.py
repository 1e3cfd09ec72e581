"""Puts the parts of searching together, in one place."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.embedding.service import PictureFetcher
from shared.ledger import ChangeLog, Generations
from shared.qdrant.service import QdrantService
from shared.search.cache.answers import AnswerCache, ResultSetCache
from shared.search.cache.redis import CacheConnection
from shared.search.cache.vectors import QueryVectorCache
from shared.search.columns.table import ColumnTable
from shared.search.drafts import Drafts
from shared.search.finding import Finder, TextEncoder
from shared.search.noise.keeper import NoiseFloors
from shared.search.pictures import PictureEncoder, QueryPictures
from shared.search.service import SearchService
from shared.search.vocabularies import Vocabularies
from shared.words.analyser import Analyser


class QueryEncoder(TextEncoder, PictureEncoder, Protocol):
    """The part of the embedding service that searches need."""

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        ...

    def embed_texts(self, texts: Sequence[str], timeout: float, /) -> NDArray[np.float32]:
        """The texts' vectors, float32 of shape (n, dimensions), L2-normalised."""
        ...


def build_search(
    *,
    encoder: QueryEncoder,
    analyser: Analyser,
    fetch: PictureFetcher,
    qdrant: QdrantService,
    generations: Generations,
    changes: ChangeLog,
    cache: CacheConnection,
    cache_ttl: int,
    timeout_seconds: float,
    in_stock_first: bool = False,
) -> SearchService:
    """A search service on the collection of `qdrant`; asks nothing of it yet.

    `cache_ttl`: seconds that answers and result sets are kept; `timeout_seconds` bounds each wait;
    `in_stock_first`: whether relevant products that can't be bought come last.
    """
    vectors = QueryVectorCache(cache, qdrant.collection, encoder.dimensions)
    pictures = QueryPictures(
        fetch=fetch, encoder=encoder, vectors=vectors, timeout_seconds=timeout_seconds
    )
    finder = Finder(
        qdrant=qdrant,
        encoder=encoder,
        pictures=pictures,
        vectors=vectors,
        vocabularies=Vocabularies(analyser, qdrant.vocabulary),
        timeout_seconds=timeout_seconds,
    )
    drafts = Drafts(
        finder=finder,
        qdrant=qdrant,
        table=ColumnTable(qdrant, changes, timeout_seconds=timeout_seconds),
        noise_floors=NoiseFloors(encoder, qdrant, cache),
        generations=generations,
        sets=ResultSetCache(cache, cache_ttl),
        timeout_seconds=timeout_seconds,
        analyser_version=analyser.version,
        in_stock_first=in_stock_first,
    )
    return SearchService(
        pictures=pictures,
        qdrant=qdrant,
        drafts=drafts,
        generations=generations,
        answers=AnswerCache(cache, cache_ttl),
        timeout_seconds=timeout_seconds,
    )
