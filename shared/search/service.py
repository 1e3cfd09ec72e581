"""A search from request to answer."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np

from shared.errors import ProductNotFound, QueryPictureFault, SourcesCancelOut
from shared.ledger.generations import Generation, Generations
from shared.metrics import SEARCH_CACHE_REQUESTS
from shared.models.search import Hit, SearchAnswer, SearchRequest, SimilarRequest
from shared.qdrant.points import StoredEmbedding
from shared.qdrant.service import QdrantService
from shared.search.cache.answers import AnswerCache, Ranked, RankingCache, Results, answer_key
from shared.search.cache.vectors import QueryVectorCache, Vector
from shared.search.pictures import QueryPictures
from shared.search.question import Question
from shared.search.single_flight import SingleFlight

_SCORE_DIGITS: Final = 6
_SCORE_STEP: Final = 1e-6

_SMALLEST_NORM: Final = 1e-6
"""Of a sum of unit vectors; what is shorter has no direction."""


class TextEncoder(Protocol):
    """What a search by words needs of the embedding service."""

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
        self._flights: SingleFlight[tuple[Results, bool]] = SingleFlight(timeout_seconds)

    def search(self, tenant: str, request: SearchRequest) -> SearchAnswer:
        """The nearest products that meet the filters, also the one searched by, if any.

        Raises the encoder's and Qdrant's errors, QueryPictureFault and ProductNotFound.
        """
        return self._answer(
            tenant, lambda: Question.of_search(request, list(self._pictures.gathered(request)))
        )

    def similar(self, tenant: str, request: SimilarRequest) -> SearchAnswer:
        """The products nearest to a product by its stored vector, without it and its group.

        Raises Qdrant's errors and ProductNotFound.
        """
        return self._answer(tenant, lambda: Question.of_similar(request))

    def _answer(self, tenant: str, asked: Callable[[], Question]) -> SearchAnswer:
        started = time.perf_counter()
        question = asked()
        results, cached = self._results(tenant, question)
        return SearchAnswer(
            query_type=question.query_type,
            top_k=question.ranking.top_k,
            results=results,
            execution_time_ms=(time.perf_counter() - started) * 1000,
            cached=cached,
        )

    def _results(self, tenant: str, question: Question) -> tuple[Results, bool]:
        generation = self._generations.current(tenant)
        if generation is None:
            # Without the ledger nobody knows whether a cached answer is still true.
            SEARCH_CACHE_REQUESTS.labels("bypass").inc()
            return self._compute(tenant, question), False
        key = answer_key(tenant, self._qdrant.view, generation, question.normalised())
        held = self._answers.get(key)
        if held is not None:
            return held, True
        try:
            return self._flights.run(key, lambda: self._renew(key, tenant, generation, question))
        except QueryPictureFault as err:
            raise question.own(err) from err

    def _renew(
        self, key: str, tenant: str, generation: Generation, question: Question
    ) -> tuple[Results, bool]:
        """The answer anew, and whether at least its ranking was cached.

        With prices changing every second no answer lives long, but most rankings do.
        """
        ranks_by = {aspect: generation[aspect] for aspect in sorted(question.ranks_by())}
        ranking_key = answer_key(tenant, self._qdrant.view, ranks_by, question.normalised())
        ranked = self._rankings.get(ranking_key)
        results = None if ranked is None else self._with_fields(tenant, ranked, question)
        still_ranked = results is not None
        if results is None:
            results = self._compute(tenant, question)
            ranked = [(str(hit["product_id"]), _score(hit)) for hit in results]
            self._rankings.put(ranking_key, ranked)
        self._answers.put(key, results)
        return results, still_ranked

    def _with_fields(self, tenant: str, ranked: Ranked, question: Question) -> Results | None:
        """The ranked products as they are now; None where one meets the filters no more, for a
        write stands that nobody has reported yet.
        """
        fields = self._qdrant.public_fields(tenant, [product_id for product_id, _ in ranked])
        if not all(question.ranking.admit(each) for each in fields.values()):
            return None
        # What was deleted since the generation was read is left out.
        return [
            {**fields[product_id], "similarity_score": score}
            for product_id, score in ranked
            if product_id in fields
        ]

    def _compute(self, tenant: str, question: Question) -> Results:
        ranking = question.ranking
        product = self._product(tenant, question.product_id)
        least = ranking.min_score
        hits = self._qdrant.search(
            tenant,
            self._vector(question, product),
            ranking,
            ranking.top_k,
            ranking.offset,
            # Results are measured by the score that they show, so those just below come along.
            min_score=None if least is None else least - _SCORE_STEP,
            without_group=product.group_id if product and question.leaves_out_group else None,
        )
        return [_result(hit) for hit in hits if least is None or _shown_score(hit) >= least]

    def _product(self, tenant: str, product_id: str | None) -> StoredEmbedding | None:
        if product_id is None:
            return None
        product = self._qdrant.embedding_of(tenant, product_id)
        if product is None:
            raise ProductNotFound("there is no such product in the index")
        return product

    def _vector(self, question: Question, product: StoredEmbedding | None) -> Vector:
        vectors = [self._pictures.vector(picture) for picture in question.pictures]
        if question.text is not None:
            vectors.append(self._text_vector(question.text))
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


def _score(result: Mapping[str, object]) -> float:
    return float(str(result["similarity_score"]))


def _shown_score(hit: Hit) -> float:
    return round(hit.score, _SCORE_DIGITS)


def _result(hit: Hit) -> Mapping[str, object]:
    return {**hit.payload, "similarity_score": _shown_score(hit)}
