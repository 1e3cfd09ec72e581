"""A search from request to answer."""

import time
from typing import Final

from shared.errors import QueryPictureFault
from shared.ledger.generations import Generation, Generations
from shared.metrics import SEARCH_CACHE_REQUESTS
from shared.models.search.answers import Answered, SearchAnswer
from shared.models.search.requests import SearchRequest, SimilarRequest
from shared.qdrant.service import QdrantService
from shared.search.cache.answers import AnswerCache, answer_key
from shared.search.drafts import Drafts
from shared.search.noise.floor import NoiseFloor
from shared.search.pictures import QueryPictures
from shared.search.query import Query
from shared.search.single_flight import SingleFlight

_TRIES: Final = 3
"""Answers made until one shows products as its columns have them. A worker writes a product some
milliseconds before it reports it."""

_PAUSE_SECONDS: Final = 0.02


class SearchService:
    """Searches one model's collection, through the caches.

    A search that starts after a job has succeeded never shows the state before it: the generation
    is read first, is part of the cache's key, and is raised in the step that ends the job. What
    the index says of a product that is searched by is read after the generation, too.

    Everything that an answer tells is a function of one result set and one snapshot of the
    products' columns (`shared/search/result_set/`), so that its parts agree.
    """

    def __init__(
        self,
        *,
        pictures: QueryPictures,
        qdrant: QdrantService,
        drafts: Drafts,
        generations: Generations,
        answers: AnswerCache,
        timeout_seconds: float,
    ) -> None:
        """`timeout_seconds`: how long one waits for the same answer of another thread."""
        self._pictures = pictures
        self._qdrant = qdrant
        self._drafts = drafts
        self._generations = generations
        self._answers = answers
        self._flights: SingleFlight[tuple[Answered, bool]] = SingleFlight(timeout_seconds)

    def close(self) -> None:
        """Ends the threads behind it; work that runs is waited for."""
        self._drafts.close()

    def search(self, tenant: str, request: SearchRequest) -> SearchAnswer:
        """The products that the request means and that meet its filters, also the one searched by.

        Raises EncoderBusy, ModelUnavailable, ItemPermanent (for a text that the model fails on),
        QdrantUnavailable, QdrantRejected, SearchTimeout, SourcesCancelOut, QueryPictureFault,
        ProductNotFound and CatalogueTooLarge.
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
        answered, cached = self._answered(tenant, query)
        return SearchAnswer(
            query_type=query.query_type,
            top_k=query.ranking.top_k,
            answered=answered,
            execution_time_ms=(time.perf_counter() - started) * 1000,
            cached=cached,
        )

    def _answered(self, tenant: str, query: Query) -> tuple[Answered, bool]:
        generation = self._generations.current(tenant)
        if generation is None:
            # Without the ledger nobody knows whether a cached answer is still true.
            SEARCH_CACHE_REQUESTS.labels("bypass").inc()
            return self._made(tenant, query, known=False)
        key = self._key(tenant, generation, self._drafts.noise(tenant), query)
        cached = self._answers.get(key)
        if cached is not None:
            return cached, True
        try:
            return self._flights.run(key, lambda: self._made(tenant, query))
        except QueryPictureFault as err:
            raise query.own(err) from err

    def _key(
        self, tenant: str, generation: Generation, noise: NoiseFloor | None, query: Query
    ) -> str:
        normalised = {**query.normalised(), "noise": noise and noise.version, **self._drafts.marks}
        return answer_key(tenant, self._qdrant.view, generation, normalised)

    def _made(self, tenant: str, query: Query, *, known: bool = True) -> tuple[Answered, bool]:
        """The answer anew, and whether at least its result set was cached.

        With prices changing every second no answer lives long, but most result sets do.
        """
        for tries_left in reversed(range(_TRIES)):
            draft = self._drafts.draft(tenant, query, known=known)
            page = draft.page(query)
            hits = self._qdrant.hits(tenant, page.ranked)
            agrees = page.agrees(hits)
            if agrees or not tries_left:
                break
            time.sleep(_PAUSE_SECONDS)
        # A write that nobody reports, because its worker died, shows through: but no product that
        # breaks the filters does.
        admits = query.ranking.predicate()
        answered = draft.answered(query, page.shown([hit for hit in hits if admits(hit.fields)]))
        state = draft.state
        if agrees and state.generation is not None and not answered.degraded:
            key = self._key(tenant, state.generation, state.noise, query)
            self._answers.put(key, answered)
        return answered, draft.cached
