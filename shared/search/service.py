"""A search from request to answer."""

import time
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from shared.errors import ProductNotFound, QueryPictureFault, SourcesCancelOut
from shared.ledger.generations import Generation, Generations
from shared.metrics import SEARCH_CACHE_REQUESTS
from shared.models.search.hits import SCORE_DIGITS, Hit, Ranked, SearchAnswer
from shared.models.search.requests import SearchRequest, SimilarRequest
from shared.qdrant.points import StoredEmbedding
from shared.qdrant.service import QdrantService
from shared.search.cache.answers import AnswerCache, RankingCache, answer_key
from shared.search.cache.vectors import QueryVectorCache, Vector
from shared.search.pictures import QueryPictures
from shared.search.query import Query
from shared.search.single_flight import SingleFlight

_SCORE_STEP: Final = 10**-SCORE_DIGITS

_SMALLEST_NORM: Final = 1e-6
"""Of a sum of unit vectors; what is shorter has no direction."""


class TextEncoder(Protocol):
    """The part of the embedding service that a search by words needs."""

    def embed_text(self, text: str, timeout: float, /) -> Vector:
        """The text's vector, float32 of shape (dimensions,), L2-normalised; `timeout`: seconds."""
        ...


class SearchService:
    """Searches one model's collection, through the caches.

    A search that starts after a job has succeeded never shows the state before it: the generation
    is read first, is part of the cache's key, and is raised in the step that ends the job. What
    the index says of a product that is searched by is read after the generation, too.
    """

    def __init__(
        self,
        *,
        encoder: TextEncoder,
        pictures: QueryPictures,
        qdrant: QdrantService,
        generations: Generations,
        answers: AnswerCache,
        rankings: RankingCache,
        vectors: QueryVectorCache,
        timeout_seconds: float,
    ) -> None:
        self._encoder = encoder
        self._pictures = pictures
        self._qdrant = qdrant
        self._generations = generations
        self._answers = answers
        self._rankings = rankings
        self._vectors = vectors
        self._timeout_seconds = timeout_seconds
        self._flights: SingleFlight[tuple[Sequence[Hit], bool]] = SingleFlight(timeout_seconds)

    def search(self, tenant: str, request: SearchRequest) -> SearchAnswer:
        """The nearest products that meet the filters, also the one searched by, if any.

        Raises EncoderBusy, ModelUnavailable, ItemPermanent (for a text that the model fails on),
        QdrantUnavailable, QdrantRejected, SearchTimeout, SourcesCancelOut, QueryPictureFault and
        ProductNotFound.
        """
        started = time.perf_counter()
        query = Query.of_search(request, list(self._pictures.gathered(request)))
        return self._answer(tenant, query, started)

    def similar(self, tenant: str, request: SimilarRequest) -> SearchAnswer:
        """The products nearest to a product by its stored vector, without it and its group.

        Raises QdrantUnavailable, QdrantRejected, SearchTimeout and ProductNotFound.
        """
        return self._answer(tenant, Query.of_similar(request), time.perf_counter())

    def _answer(self, tenant: str, query: Query, started: float) -> SearchAnswer:
        results, cached = self._results(tenant, query)
        return SearchAnswer(
            query_type=query.query_type,
            top_k=query.ranking.top_k,
            results=results,
            execution_time_ms=(time.perf_counter() - started) * 1000,
            cached=cached,
        )

    def _results(self, tenant: str, query: Query) -> tuple[Sequence[Hit], bool]:
        generation = self._generations.current(tenant)
        if generation is None:
            # Without the ledger nobody knows whether a cached answer is still true.
            SEARCH_CACHE_REQUESTS.labels("bypass").inc()
            return self._compute(tenant, query), False
        key = answer_key(tenant, self._qdrant.view, generation, query.normalised())
        cached = self._answers.get(key)
        if cached is not None:
            return cached, True
        try:
            return self._flights.run(key, lambda: self._renew(key, tenant, generation, query))
        except QueryPictureFault as err:
            raise query.own(err) from err

    def _renew(
        self, key: str, tenant: str, generation: Generation, query: Query
    ) -> tuple[Sequence[Hit], bool]:
        """The answer anew, and whether at least its ranking was cached.

        With prices changing every second no answer lives long, but most rankings do.
        """
        ranks_by = {aspect: generation[aspect] for aspect in sorted(query.ranks_by())}
        ranking_key = answer_key(tenant, self._qdrant.view, ranks_by, query.normalised())
        ranking = self._rankings.get(ranking_key)
        hits = None if ranking is None else self._still_ranked(tenant, ranking, query)
        still_ranked = hits is not None
        if hits is None:
            hits = self._compute(tenant, query)
            self._rankings.put(ranking_key, [hit.ranked for hit in hits])
        self._answers.put(key, hits)
        return hits, still_ranked

    def _still_ranked(
        self, tenant: str, ranking: Sequence[Ranked], query: Query
    ) -> Sequence[Hit] | None:
        """The ranked products as they are now, without those deleted since the generation was read.

        None if one doesn't meet the filters any more: a write stands that nobody has reported yet.
        """
        hits = self._qdrant.hits(tenant, ranking)
        admits = query.ranking.predicate()
        return hits if all(admits(hit.fields) for hit in hits) else None

    def _compute(self, tenant: str, query: Query) -> Sequence[Hit]:
        ranking = query.ranking
        product = self._product(tenant, query.product_id)
        least = ranking.min_score
        hits = self._qdrant.search(
            tenant,
            self._vector(query, product),
            ranking,
            ranking.top_k,
            ranking.offset,
            # Hits are measured by the score that they show, so those just below come along.
            min_score=None if least is None else least - _SCORE_STEP,
            without_group=product.group_id if product and query.leaves_out_group else None,
        )
        return [hit for hit in hits if least is None or hit.similarity_score >= least]

    def _product(self, tenant: str, product_id: str | None) -> StoredEmbedding | None:
        if product_id is None:
            return None
        product = self._qdrant.embedding_of(tenant, product_id)
        if product is None:
            raise ProductNotFound("there is no such product in the index")
        return product

    def _vector(self, query: Query, product: StoredEmbedding | None) -> Vector:
        vectors = [self._pictures.vector(picture) for picture in query.pictures]
        if query.text is not None:
            vectors.append(self._text_vector(query.text))
        if product is not None:
            vectors.append(np.asarray(product.embedding, np.float32))
        return mixed(vectors)

    def _text_vector(self, text: str) -> Vector:
        vector = self._vectors.get("text", text)
        if vector is None:
            vector = self._encoder.embed_text(text, self._timeout_seconds)
            self._vectors.put("text", text, vector)
        return vector


def mixed(vectors: Sequence[Vector]) -> Vector:
    """The normalised sum of unit vectors of equal length, float32; a lone one stays as it is.

    Raises SourcesCancelOut.
    """
    if len(vectors) == 1:
        return vectors[0]
    total = np.stack(vectors).astype(np.float64).sum(axis=0)
    norm = float(np.linalg.norm(total))
    if norm < _SMALLEST_NORM:
        raise SourcesCancelOut("the sources cancel each other out; search by fewer of them")
    vector: Vector = (total / norm).astype(np.float32)
    return vector
