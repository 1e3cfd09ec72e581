"""The answer to a search."""

from typing import Any

from pydantic import with_config
from typing_extensions import TypedDict

from shared.models.search.hits import Hit, QueryType, SearchAnswer


@with_config(use_attribute_docstrings=True)
class SearchResultsAnswer(TypedDict):
    """The nearest products, in falling order of similarity."""

    query_type: QueryType
    """The kind of query: `text`, `image`, `product`, or `mixed` for several of them."""
    top_k: int
    """The most results that were asked for."""
    total_results: int
    """Results in this answer."""
    results: list[Hit]
    """The products."""
    execution_time_ms: float
    """The time that the service took, in milliseconds."""
    cached: bool
    """Whether at least the ranking came from the cache. Fields may have been read anew."""


def search_answer(answer: SearchAnswer) -> dict[str, Any]:
    """The answer in the contract's words, times to a hundredth of a millisecond."""
    return {
        "query_type": answer.query_type,
        "top_k": answer.top_k,
        "total_results": len(answer.results),
        "results": answer.results,
        "execution_time_ms": round(answer.execution_time_ms, 2),
        "cached": answer.cached,
    }
