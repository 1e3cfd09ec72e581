"""The answer to a search."""

from collections.abc import Mapping
from typing import Any

from pydantic import with_config
from pydantic_core import to_jsonable_python
from typing_extensions import TypedDict

from shared.models.search.answers import Counts, Facet, SearchAnswer
from shared.models.search.hits import Hit, QueryType, Relation, Side


@with_config(use_attribute_docstrings=True)
class SearchResultsAnswer(TypedDict):
    """A page of the products that the request means, in the order that it asks for."""

    query_type: QueryType
    """The kind of query: `text`, `image`, `product`, `mixed` for several of them, or `browse` for
    none."""
    top_k: int
    """The most results that were asked for."""
    total_results: int
    """The number of distinct products over all pages."""
    total_relation: Relation
    """How the total is to be read: exact (`eq`), or at least so many (`gte`)."""
    counts: Counts
    """What the total and the facets count: products, or variants if a catalogue is too large for
    groups to be counted."""
    results: list[Hit]
    """The products."""
    facets: dict[str, Facet]
    """The facets that were asked for, by name."""
    degraded: list[Side]
    """The parts of the search that didn't answer: the results are those of the rest."""
    corrected: dict[str, str]
    """Words that the catalogue doesn't know, and what was looked for in their place."""
    generation: str | None
    """The state of the index that the answer stands for: answers with the same one agree with each
    other. Null while that isn't known."""
    execution_time_ms: float
    """The time that the service took, in milliseconds."""
    cached: bool
    """Whether at least the result set came from the cache. Fields may have been read anew."""


def search_answer(answer: SearchAnswer) -> dict[str, Any]:
    """The answer in the contract's words, times to a hundredth of a millisecond."""
    answered = answer.answered
    return {
        "query_type": answer.query_type,
        "top_k": answer.top_k,
        "total_results": answered.total,
        "total_relation": answered.relation,
        "counts": answered.counts,
        "results": [_shown(hit) for hit in answered.results],
        "facets": answered.facets,
        "degraded": answered.degraded,
        "corrected": answered.corrected,
        "generation": answered.generation,
        "execution_time_ms": round(answer.execution_time_ms, 2),
        "cached": answer.cached,
    }


def _shown(hit: Hit) -> Mapping[str, Any]:
    """The hit, with an explanation only if one was asked for."""
    shown: dict[str, Any] = to_jsonable_python(hit)
    if shown["explanation"] is None:
        del shown["explanation"]
    return shown
