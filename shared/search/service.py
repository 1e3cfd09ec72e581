"""A search from request to answer."""

import time
from collections.abc import Mapping
from typing import Protocol

from shared.caches.answers import AnswerCache, Results, answer_key
from shared.caches.query_vectors import QueryVectorCache, Vector
from shared.ledger import Generations
from shared.metrics import SEARCH_CACHE_REQUESTS
from shared.models.search import Hit, SearchAnswer, SearchRequest
from shared.qdrant.service import QdrantService
from shared.search.single_flight import SingleFlight


class TextEncoder(Protocol):
    """What a search needs of the embedding service."""

    def embed_text(self, text: str) -> Vector:
        """The text's vector, float32 of shape (512,), L2-normalised."""
        ...


class SearchService:
    """Searches one model's collection, through the caches.

    A search that starts after a job has succeeded never shows the state before it: the generation
    is read first, is part of the cache's key, and is raised in the step that ends the job.
    """

    def __init__(
        self,
        *,
        encoder: TextEncoder,
        qdrant: QdrantService,
        generations: Generations,
        answers: AnswerCache,
        vectors: QueryVectorCache,
        timeout_seconds: float,
    ) -> None:
        self._encoder = encoder
        self._qdrant = qdrant
        self._generations = generations
        self._answers = answers
        self._vectors = vectors
        self._flights: SingleFlight[Results] = SingleFlight(timeout_seconds)

    def search(self, tenant: str, request: SearchRequest) -> SearchAnswer:
        """The nearest products that meet the filters. Raises the encoder's and Qdrant's errors."""
        started = time.perf_counter()
        results, cached = self._results(tenant, request)
        return SearchAnswer(
            query_type="text",
            top_k=request.top_k,
            results=results,
            execution_time_ms=(time.perf_counter() - started) * 1000,
            cached=cached,
        )

    def _results(self, tenant: str, request: SearchRequest) -> tuple[Results, bool]:
        generation = self._generations.current(tenant)
        if generation is None:
            # Without the ledger nobody knows whether a cached answer is still true.
            SEARCH_CACHE_REQUESTS.labels("bypass").inc()
            return self._compute(tenant, request), False
        key = answer_key(tenant, self._qdrant.collection, generation, request)
        held = self._answers.get(key)
        if held is not None:
            return held, True
        return self._flights.run(key, lambda: self._compute_and_keep(key, tenant, request)), False

    def _compute_and_keep(self, key: str, tenant: str, request: SearchRequest) -> Results:
        results = self._compute(tenant, request)
        self._answers.put(key, results)
        return results

    def _compute(self, tenant: str, request: SearchRequest) -> Results:
        vector = self._vector(request.normalised_text())
        hits = self._qdrant.search(tenant, vector, request, request.top_k)
        return [_result(hit) for hit in hits]

    def _vector(self, text: str) -> Vector:
        vector = self._vectors.get(text)
        if vector is None:
            vector = self._encoder.embed_text(text)
            self._vectors.put(text, vector)
        return vector


def _result(hit: Hit) -> Mapping[str, object]:
    return {**hit.payload, "similarity_score": round(hit.score, 6)}
