"""The products that a query means: those that its words match, and those that look like it."""

import contextlib
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import structlog

from shared.errors import (
    EncoderBusy,
    ItemPermanent,
    ItemTransient,
    ModelUnavailable,
    ProductNotFound,
    QdrantRejected,
    QdrantUnavailable,
    SearchTimeout,
    SourcesCancelOut,
)
from shared.ledger.generations import Generation
from shared.models.search.filters import Filters
from shared.models.search.hits import SCORE_DIGITS, Ranked, Side
from shared.qdrant.points import StoredEmbedding
from shared.qdrant.service import QdrantService
from shared.search.cache.vectors import QueryVectorCache, Vector
from shared.search.noise.floor import NoiseFloor, Scale, Source
from shared.search.pictures import QueryPictures
from shared.search.query import Query
from shared.search.result_set.fusion import (
    Scores,
    looks_scores,
    strict_floor,
    weighted_sum,
    words_scores,
)
from shared.search.result_set.results import (
    CODE_BEGINS,
    CODE_EQUALS,
    MAX_RESULTS,
    NO_CODE,
    Found,
)
from shared.search.vocabularies import Vocabularies
from shared.words.analyser import QueryWords
from shared.words.codes import code_of_query

log = structlog.get_logger(__name__)

WORDS_WEIGHT: Final = 0.65
"""The share of words in the score of a text whose words the catalogue knows."""

_READ: Final = MAX_RESULTS + 1
"""Products asked for, so that a set of exactly `MAX_RESULTS` isn't taken for one that is cut."""

_SCORE_STEP: Final = 10**-SCORE_DIGITS

_SMALLEST_NORM: Final = 1e-6
"""Of a sum of unit vectors; what is shorter has no direction."""

_THREADS: Final = 16
"""Searches by words at one time, beside those by looks. More of them wait."""

_LOOKS_FAULTS: Final = (
    EncoderBusy,
    ModelUnavailable,
    ItemPermanent,
    ItemTransient,
    QdrantUnavailable,
    QdrantRejected,
)
_WORDS_FAULTS: Final = (QdrantUnavailable, QdrantRejected, SearchTimeout)


class TextEncoder(Protocol):
    """The part of the embedding service that a search by words needs."""

    def embed_text(self, text: str, timeout: float, /) -> Vector:
        """The text's vector, float32 of shape (dimensions,), L2-normalised; `timeout`: seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Worded:
    """The products that the words match, and those with the code."""

    asked: QueryWords
    ranked: Sequence[Ranked] = ()
    whole: Set[str] = frozenset()
    """The products that match every word."""
    tiers: Mapping[str, int] = field(default_factory=dict)
    is_code: bool = False
    """Whether the query is a code of some product, be it one that the filters leave out."""


@dataclass(frozen=True, slots=True)
class Alike:
    """The products that look like it, with their cosines."""

    ranked: Sequence[Ranked] = ()
    scale: Scale | None = None
    """Which cosines are chance, and which the best; None if that isn't known."""
    is_cut: bool = False
    """Whether there may be more of them."""
    trust: float = 1.0
    """How well the model knows this catalogue, 0…1; 1 until that is measured."""


class Finder:
    """Asks the index by words and by looks, the one while the encoder is busy for the other."""

    def __init__(
        self,
        *,
        qdrant: QdrantService,
        encoder: TextEncoder,
        pictures: QueryPictures,
        vectors: QueryVectorCache,
        vocabularies: Vocabularies,
        timeout_seconds: float,
    ) -> None:
        """`timeout_seconds` bounds the encoder, and each wait."""
        self._qdrant = qdrant
        self._encoder = encoder
        self._pictures = pictures
        self._vectors = vectors
        self._vocabularies = vocabularies
        self._timeout_seconds = timeout_seconds
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="words")

    def close(self) -> None:
        """Ends the threads of searches by words."""
        self._pool.shutdown(cancel_futures=True)

    def find(
        self,
        tenant: str,
        query: Query,
        filters: Filters,
        noise: NoiseFloor | None,
        generation: Generation | None,
    ) -> Found:
        """The products that the query means, of those that meet the filters.

        `noise`: the tenant's noise floor, None if there is none. If one of two sides fails, the
        other one answers alone. Raises EncoderBusy, ModelUnavailable, ItemPermanent (for a text
        that the model fails on), QdrantUnavailable, QdrantRejected, SearchTimeout,
        SourcesCancelOut, QueryPictureFault and ProductNotFound.
        """
        if not query.by_words:
            return fused(None, self._alike(tenant, query, filters, noise))
        text = query.text or ""
        asked = self._pool.submit(self._worded, tenant, text, filters, generation)
        try:
            return self._both(tenant, query, filters, noise, asked)
        finally:
            asked.cancel()  # nobody waits for it any more

    def _both(
        self,
        tenant: str,
        query: Query,
        filters: Filters,
        noise: NoiseFloor | None,
        asked: "Future[Worded]",
    ) -> Found:
        if not query.by_looks:
            return fused(self._joined(asked), None)
        code = code_of_query(query.text or "", known=True)
        if code is not None and code.certain:
            with contextlib.suppress(*_WORDS_FAULTS):  # told below, where it is joined again
                worded = self._joined(asked)
                if worded.tiers or worded.is_code:
                    # What was meant is found, so the encoder isn't asked.
                    return fused(worded, None)
        try:
            alike = self._alike(tenant, query, filters, noise)
        except _LOOKS_FAULTS as err:
            worded = self._joined(asked)
            log.warning("search_degraded", side="looks", error=err.message)
            return fused(worded, None, degraded=["looks"])
        try:
            return fused(self._joined(asked), alike)
        except _WORDS_FAULTS as err:
            log.warning("search_degraded", side="words", error=err.message)
            return fused(None, alike, degraded=["words"])

    def _joined(self, asked: "Future[Worded]") -> Worded:
        try:
            return asked.result(self._timeout_seconds)
        except TimeoutError as err:
            raise SearchTimeout("the search by words takes too long") from err

    def _worded(
        self, tenant: str, text: str, filters: Filters, generation: Generation | None
    ) -> Worded:
        asked = self._vocabularies.words(tenant, text, generation, self._qdrant.view)
        tiers, is_code = self._with_code(tenant, asked, filters)
        ranked = self._qdrant.ranked_by_words(tenant, asked, filters, _READ)
        whole = frozenset(each.product_id for each in ranked)
        if asked.needed < len(asked.words) and ranked:
            strictly = asked._replace(needed=len(asked.words))
            matching = self._qdrant.ranked_by_words(tenant, strictly, filters, _READ)
            whole = frozenset(each.product_id for each in matching)
            # Products that match every word come in before all that match some.
            ranked = [*matching, *(each for each in ranked if each.product_id not in whole)]
        return Worded(asked, ranked, whole, tiers, is_code)

    def _with_code(
        self, tenant: str, asked: QueryWords, filters: Filters
    ) -> tuple[Mapping[str, int], bool]:
        """The products whose code the query is, or begins; and whether it is one of any product's,
        whatever the filters."""
        code = asked.code
        if code is None:
            return {}, False
        tiers: dict[str, int] = {}
        for by_prefix in (True, False) if code.by_prefix else (False,):
            tier = CODE_BEGINS if by_prefix else CODE_EQUALS
            found = self._qdrant.ids_of_code(
                tenant, code.folded, filters, prefix=by_prefix, limit=_READ
            )
            tiers.update(dict.fromkeys(found, tier))
        if tiers or not code.certain or not filters.filtered_on():
            return tiers, bool(tiers)
        # Whether looks count must not depend on the filters: facets would count other products.
        anywhere = [
            self._qdrant.ids_of_code(tenant, code.folded, Filters(), prefix=by_prefix, limit=1)
            for by_prefix in ((True, False) if code.by_prefix else (False,))
        ]
        return {}, any(anywhere)

    def _alike(
        self, tenant: str, query: Query, filters: Filters, noise: NoiseFloor | None
    ) -> Alike:
        product = self._product(tenant, query.product_id)
        vector = self._vector(query, product)
        without_group = product.group_id if product and query.leaves_out_group else None
        scale = None if noise is None else noise.cosines(vector, _sources(query))
        least = self._least(tenant, query, vector, scale, without_group)
        ranked = self._qdrant.ranked_by_looks(
            tenant,
            vector,
            filters,
            _READ,
            # Hits are measured by the score that they show, so those just below come along.
            min_score=None if least is None else least - _SCORE_STEP,
            without_group=without_group,
        )
        kept = [
            each for each in ranked if least is None or round(each.score, SCORE_DIGITS) >= least
        ]
        trust = 1.0 if noise is None else noise.trust
        return Alike(kept, scale, len(ranked) >= _READ, trust)

    def _least(
        self,
        tenant: str,
        query: Query,
        vector: Vector,
        scale: Scale | None,
        without_group: str | None,
    ) -> float | None:
        """The least cosine of a product that looks like it; None if any will do."""
        ranking = query.ranking
        if ranking.min_score is not None:
            return ranking.min_score
        floor = None if scale is None else scale.floor
        if ranking.cutoff == "off":
            return None
        if ranking.cutoff == "auto":
            return floor
        # The nearest of all, so that filters change nothing in which products the query means.
        two = self._qdrant.ranked_by_looks(
            tenant, vector, Filters(), 2, without_group=without_group
        )
        # A product that is searched by is as near to itself as can be.
        nearest = [each for each in two if each.product_id != query.product_id]
        return strict_floor(nearest[0].score, floor) if nearest else floor

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


def fused(worded: Worded | None, alike: Alike | None, degraded: Sequence[Side] = ()) -> Found:
    """The products of both sides as one list. None is a side that wasn't asked, or that failed."""
    by_words = {each.product_id: each.score for each in worded.ranked} if worded else {}
    by_looks = {each.product_id: each.score for each in alike.ranked} if alike else {}
    tiers = worded.tiers if worded else {}
    whole = worded.whole if worded else frozenset()
    ids = list(dict.fromkeys([*tiers, *by_words, *by_looks]))
    words = words_scores(
        np.array([by_words.get(each, np.nan) for each in ids], np.float64),
        np.array([each in whole for each in ids], np.bool_),
    )
    cosines = np.array([by_looks.get(each, np.nan) for each in ids], np.float64)
    scale = (alike.scale if alike else None) or _scale_of_one_answer(cosines)
    weight = _words_weight(worded, alike)
    scores = weighted_sum(words, looks_scores(cosines, scale.floor, scale.best), weight)
    order = sorted(range(len(ids)), key=lambda at: (-tiers.get(ids[at], 0), -scores[at], ids[at]))
    kept = order[:MAX_RESULTS]
    return Found(
        ids=[ids[at] for at in kept],
        scores=[float(scores[at]) for at in kept],
        words=[_number(words[at]) for at in kept],
        looks=[_number(cosines[at]) for at in kept],
        tiers=[tiers.get(ids[at], NO_CODE) for at in kept],
        cut=len(ids) > MAX_RESULTS or len(by_words) > MAX_RESULTS or bool(alike and alike.is_cut),
        words_weight=weight,
        floor=scale.floor,
        best=scale.best,
        degraded=list(degraded),
        corrected=dict(worded.asked.corrected) if worded else {},
    )


def _sources(query: Query) -> list[Source]:
    texts: list[Source] = [] if query.text is None else ["text"]
    pictures: list[Source] = ["picture"] if query.pictures or query.product_id is not None else []
    return [*texts, *pictures]


def _scale_of_one_answer(cosines: Scores) -> Scale:
    """A stand-in while nothing has been measured: from no likeness to the nearest product."""
    return Scale(0.0, float(np.nanmax(cosines, initial=0.0)) or 1.0)


def _words_weight(worded: Worded | None, alike: Alike | None) -> float:
    """The share of words in the score, which the query decides, and how well the model knows the
    catalogue.

    Words that the catalogue doesn't know say nothing of its products: looks decide then. Looks by a
    model that does not know the products' own names leave the order to the words.
    """
    if worded is None or alike is None:
        return 1.0 if alike is None else 0.0
    if not worded.ranked:
        return 0.0
    known = len(worded.asked.words) - len(worded.asked.unknown)
    weight = WORDS_WEIGHT * max(known, 0) / max(len(worded.asked.words), 1)
    return 1 - (1 - weight) * alike.trust


def _number(score: float) -> float | None:
    return None if np.isnan(score) else float(score)


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
