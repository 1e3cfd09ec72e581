"""Drafts of answers: the products of all pages in order, before those of one are read."""

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from pydantic_core import to_json

from shared.errors import CatalogueTooLarge, SearchTimeout
from shared.ledger.generations import Generation, Generations
from shared.models.product import paid_price
from shared.models.search.answers import Answered, Facet
from shared.models.search.filters import Filters
from shared.models.search.hits import Explanation, Hit, Part, Ranked, rounded
from shared.qdrant.service import QdrantService
from shared.search.cache.answers import ResultSetCache, answer_key
from shared.search.columns.columns import Columns, NotHeld, TooLarge
from shared.search.columns.mending import mended, no_columns
from shared.search.columns.rows import PAYLOAD_OF_ROW, Row
from shared.search.columns.table import ColumnTable
from shared.search.finding import Finder
from shared.search.noise.floor import NoiseFloor
from shared.search.noise.keeper import NoiseFloors
from shared.search.query import Query
from shared.search.result_set.fusion import looks_scores
from shared.search.result_set.page import Selection, View, select
from shared.search.result_set.results import CODE_BEGINS, CODE_EQUALS, Found, ResultSet
from shared.search.single_flight import SingleFlight

_VOLATILE: Final = frozenset({"price", "availability"})
"""Fields that change all day. Conditions on them are applied to the result set in memory, so that
it outlives their changes, and all answers of one generation see the same prices."""

_CODES: Final[Mapping[int, Any]] = {CODE_EQUALS: "equals", CODE_BEGINS: "begins"}


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The products of one page: positions in the columns, and places in what was found."""

    columns: Columns
    found: Found | None
    positions: Sequence[int]
    places: Sequence[int]
    variants: Sequence[int]
    explains: bool

    @property
    def ranked(self) -> list[Ranked]:
        """The products in order, to be read."""
        return [Ranked(str(self.columns.ids[position]), 0.0) for position in self.positions]

    def agrees(self, hits: Sequence[Hit]) -> bool:
        """Whether the products, read after the columns, are those of the columns still."""
        return len(hits) == len(self.positions) and all(
            _same_price(float(self.columns.prices[position]), paid_price(hit.fields))
            for position, hit in zip(self.positions, hits, strict=True)
        )

    def shown(self, hits: Sequence[Hit]) -> list[Hit]:
        """The hits with their scores; hits may be fewer than products."""
        at = {str(self.columns.ids[each]): row for row, each in enumerate(self.positions)}
        return [self._shown(hit, at[hit.product_id]) for hit in hits]

    def _shown(self, hit: Hit, row: int) -> Hit:
        variants = self.variants[row]
        found = self.found
        if found is None:
            return replace(hit, similarity_score=None, variants=variants)
        place = self.places[row]
        words, looks, tier = found.words[place], found.looks[place], found.tiers[place]
        sides: Sequence[tuple[Part, float | None]] = (
            ("code", tier or None),
            ("words", words),
            ("looks", looks),
        )
        return replace(
            hit,
            similarity_score=rounded(looks),
            score=rounded(found.scores[place]),
            matched=[side for side, score in sides if score is not None],
            variants=variants,
            explanation=_explanation(found, place) if self.explains else None,
        )


def _explanation(found: Found, place: int) -> Explanation:
    looks = found.looks[place]
    calibrated = None
    if looks is not None:
        calibrated = float(looks_scores(np.array([looks]), found.floor, found.best)[0])
    return Explanation(
        words=rounded(found.words[place]),
        looks=rounded(calibrated),
        words_weight=rounded(found.words_weight) or 0.0,
        code=_CODES.get(found.tiers[place]),
    )


def _same_price(held: float, read: float | None) -> bool:
    return np.isnan(held) if read is None else held == read


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """All products of an answer in order, by one result set and one snapshot of columns.

    `found`: None if the request browses. `cached`: whether the result set came from the cache.
    """

    state: "_State"
    columns: Columns
    results: ResultSet
    selection: Selection
    facets: Mapping[str, Facet]
    found: Found | None
    cached: bool

    def page(self, query: Query) -> Page:
        """The products of the page that the query wants."""
        ranking = query.ranking
        part = slice(ranking.offset, ranking.offset + ranking.top_k)
        rows = self.selection.rows[part]
        return Page(
            self.columns,
            self.found,
            self.results.positions[rows].tolist(),
            self.results.places[rows].tolist(),
            self.selection.variants[part].tolist(),
            ranking.explain,
        )

    def answered(self, query: Query, hits: list[Hit]) -> Answered:
        """The answer with these hits."""
        return Answered(
            results=hits,
            total=self.selection.total,
            relation=self.selection.relation,
            facets={name: self.facets[name] for name in query.ranking.facets},
            generation=self.state.name,
            degraded=list(self.found.degraded) if self.found else [],
            corrected=dict(self.found.corrected) if self.found else {},
        )


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """The state of a tenant's catalogue that an answer stands for. `columns`: None if there are
    none of all products."""

    tenant: str
    columns: Columns | None
    generation: Generation | None
    noise: NoiseFloor | None

    @property
    def name(self) -> str | None:
        """A name of the state for clients to compare; None if the generation isn't known."""
        if self.generation is None:
            return None
        parts = to_json([sorted(self.generation.items()), self.noise and self.noise.version])
        return hashlib.blake2b(parts, digest_size=8).hexdigest()

    def with_columns(self, columns: Columns | None) -> "_State":
        return replace(self, columns=columns)


class Drafts:
    """Makes drafts from the columns and the result set, which is computed once and then cached."""

    def __init__(
        self,
        *,
        finder: Finder,
        qdrant: QdrantService,
        table: ColumnTable,
        noise_floors: NoiseFloors,
        generations: Generations,
        sets: ResultSetCache,
        timeout_seconds: float,
        analyser_version: str = "",
        in_stock_first: bool = False,
    ) -> None:
        """`timeout_seconds`: how long one waits for a result set that another thread computes;
        `analyser_version`: of the words that the finder searches by; `in_stock_first`: whether
        relevant products that can't be bought come last."""
        self._finder = finder
        self._qdrant = qdrant
        self._table = table
        self._noise_floors = noise_floors
        self._generations = generations
        self._sets = sets
        self._in_stock_first = in_stock_first
        self.marks = {"analyser": analyser_version, "in_stock_first": in_stock_first}
        """The settings that cached answers and result sets depend on."""
        self._products: dict[str, int] = {}
        self._flights: SingleFlight[tuple[Found, bool]] = SingleFlight(timeout_seconds)

    def close(self) -> None:
        """Ends the threads behind it; work that runs is waited for."""
        self._table.close()
        self._noise_floors.close()
        self._finder.close()

    def noise(self, tenant: str) -> NoiseFloor | None:
        """The tenant's noise floor, by the number of products that it had when last looked at."""
        return self._noise_floors.of(tenant, self._products.get(tenant, 0))

    def draft(self, tenant: str, query: Query, *, known: bool = True) -> Draft:
        """The answer's products as of now. `known`: whether the ledger knows the tenant's
        generation; if not, nothing comes from the caches or goes there.

        Raises what `Finder.find` raises, and CatalogueTooLarge.
        """
        if query.browses:
            return self._browsed(tenant, query)
        # Before the index is asked: what changes meanwhile must not count as seen.
        state = self._state(tenant) if known else _State(tenant, None, None, self.noise(tenant))
        try:
            return self._drafted(state, query)
        except NotHeld:
            return self._drafted(state.with_columns(None), query)

    def _state(self, tenant: str) -> _State:
        try:
            columns = self._table.at(tenant)
        except SearchTimeout:  # it is still being read
            return _State(tenant, None, self._generations.current(tenant), self.noise(tenant))
        if isinstance(columns, TooLarge):
            self._products[tenant] = columns.limit + 1
            return _State(tenant, None, self._generations.current(tenant), self.noise(tenant))
        self._products[tenant] = len(columns)
        # Columns that nobody vouches for may be some seconds old.
        vouched = columns if columns.generation is not None else None
        return _State(tenant, vouched, columns.generation, self.noise(tenant))

    def _browsed(self, tenant: str, query: Query) -> Draft:
        columns = self._table.at(tenant)
        if isinstance(columns, TooLarge):
            raise CatalogueTooLarge(
                f"a catalogue of more than {columns.limit:,} products can't be browsed: "
                "search by words or a picture"
            )
        state = _State(tenant, columns, columns.generation, None)
        results = ResultSet.of_all(columns)
        try:
            selection = select(results, columns, self._view(query, query.ranking.facets))
        except NotHeld as err:
            raise CatalogueTooLarge(
                f"the catalogue has too many attributes to be browsed by {err}: "
                "search by words or a picture"
            ) from err
        return Draft(state, columns, results, selection, selection.facets, None, cached=False)

    def _drafted(self, state: _State, query: Query) -> Draft:
        filters = query.ranking
        later = filters.filtered_on() & (_VOLATILE | set(filters.facets))
        found, cached = self._found(state, query, without(filters, later))
        if not (found.cut and later):
            columns, results = self._results(state, query, found)
            selection = select(results, columns, self._view(query, filters.facets))
            return Draft(state, columns, results, selection, selection.facets, found, cached)
        # Products beyond the cut may meet the conditions: the index looks for them anew. Only the
        # facets of these conditions need the wider set.
        own = [name for name in filters.facets if name in later]
        columns, results = self._results(state, query, found)
        wider = select(results, columns, self._view(query, own))
        found, cached = self._found(state, query, filters)
        columns, results = self._results(state, query, found)
        others = [name for name in filters.facets if name not in own]
        selection = select(results, columns, self._view(query, others))
        facets = {**selection.facets, **wider.facets}
        return Draft(state, columns, results, selection, facets, found, cached)

    def _results(self, state: _State, query: Query, found: Found) -> tuple[Columns, ResultSet]:
        columns = state.columns
        if columns is None:
            payloads = self._qdrant.live_payloads(state.tenant, found.ids, PAYLOAD_OF_ROW)
            # A catalogue may have more attributes than columns hold, but a request names few.
            named = query.ranking.filtered_on() | set(query.ranking.facets)
            rows = {key: Row.of(payload).with_only(named) for key, payload in payloads.items()}
            columns = mended(no_columns(), rows, state.generation)
        return columns, ResultSet.of(found, columns)

    def _view(self, query: Query, facets: Sequence[str]) -> View:
        return View(
            conditions=query.ranking.conditions(),
            sort=query.sort,
            facets=facets,
            grouped=query.ranking.group,
            in_stock_first=self._in_stock_first,
            newest_first=query.browses,
        )

    def _found(self, state: _State, query: Query, filters: Filters) -> tuple[Found, bool]:
        """The products that the query means of those that meet the filters, and whether they come
        from the cache."""
        tenant, generation, noise = state.tenant, state.generation, state.noise
        if generation is None:
            return self._finder.find(tenant, query, filters, noise, None), False
        aspects = {aspect: generation[aspect] for aspect in sorted(query.found_by(filters))}
        meaning = {**query.meaning(filters), "noise": noise and noise.version, **self.marks}
        key = answer_key(tenant, self._qdrant.view, aspects, meaning)
        found = self._sets.get(key)
        if found is not None:
            return found, True

        def find() -> tuple[Found, bool]:
            found = self._finder.find(tenant, query, filters, noise, generation)
            if not found.degraded:
                self._sets.put(key, found)
            return found, False

        return self._flights.run(key, find)


def without(filters: Filters, names: AbstractSet[str]) -> Filters:
    """The filters but those on these fields."""
    for name in sorted(names):
        filters = filters.without(name)
    return filters
