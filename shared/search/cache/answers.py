"""The answer cache: a search's results under all that they depend on."""

import hashlib
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Final

from pydantic_core import from_json, to_json

from shared.metrics import SEARCH_CACHE_REQUESTS, SEARCH_RANKING_REQUESTS
from shared.models.change import Aspect
from shared.models.search import MAX_TOP_K
from shared.search.cache.redis import CacheConnection

Results = Sequence[Mapping[str, object]]

Ranked = Sequence[tuple[str, float]]
"""Product ids and shown scores, best first."""


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "product_id": (str,),
    "name": (str,),
    "description": (str, NoneType),
    "price": (int, float, NoneType),
    "category": (str, NoneType),
    "image_url": (str,),
    "attributes": (dict,),
    "similarity_score": (int, float),
}
"""A result's fields. The cache may hold what another version wrote, or somebody else."""


def answer_key(
    tenant: str,
    collection: str,
    generation: Mapping[Aspect, str],
    question: Mapping[str, object],
) -> str:
    """The key of an answer: equal questions on an unchanged index share one.

    `question` holds all else that the answer depends on, equal for equal questions. The generation
    makes every answer from before a change unreachable, so nothing is ever deleted.
    """
    parts = to_json([tenant, collection, generation, sorted(question.items())])
    return f"search:{hashlib.sha256(parts).hexdigest()}"


class RankingCache:
    """Which products answer a question, and their scores; their fields are read anew.

    A ranking depends on less than an answer does, so it outlives changes of fields.
    """

    def __init__(self, connection: CacheConnection, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl_seconds = ttl_seconds

    def get(self, key: str) -> Ranked | None:
        """The ranking held under a key from `answer_key`."""
        value = self._connection.get(f"ranking:{key}")
        if value is None:
            SEARCH_RANKING_REQUESTS.labels("miss").inc()
            return None
        ranked = _parsed_ranking(value)
        if ranked is None:
            self._connection.drop(f"ranking:{key}")
        SEARCH_RANKING_REQUESTS.labels("unreadable" if ranked is None else "hit").inc()
        return ranked

    def put(self, key: str, ranked: Ranked) -> None:
        """Holds the ranking until the TTL ends."""
        self._connection.put(f"ranking:{key}", to_json(ranked), self._ttl_seconds)


class AnswerCache:
    """Results in Redis as JSON, gone after the TTL."""

    def __init__(self, connection: CacheConnection, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl_seconds = ttl_seconds

    def get(self, key: str) -> Results | None:
        """The results held under a key from `answer_key`; one that can't be read is dropped."""
        value = self._connection.get(key)
        if value is None:
            result = "unavailable" if self._connection.is_down else "miss"
            SEARCH_CACHE_REQUESTS.labels(result).inc()
            return None
        results = _parsed(value)
        if results is None:
            self._connection.drop(key)
        SEARCH_CACHE_REQUESTS.labels("unreadable" if results is None else "hit").inc()
        return results

    def put(self, key: str, results: Results) -> None:
        """Holds the results until the TTL ends."""
        self._connection.put(key, to_json(results), self._ttl_seconds)


def _parsed_ranking(value: bytes) -> Ranked | None:
    ranked = _parsed_list(value)
    if ranked is None or not all(_is_rank(rank) for rank in ranked):
        return None
    return [(product_id, score) for product_id, score in ranked]


def _is_rank(rank: object) -> bool:
    return (
        isinstance(rank, list)
        and len(rank) == len(("product_id", "score"))
        and isinstance(rank[0], str)
        and isinstance(rank[1], float)
    )


def _parsed(value: bytes) -> Results | None:
    results = _parsed_list(value)
    return results if results is not None and all(_is_result(hit) for hit in results) else None


def _parsed_list(value: bytes) -> list[Any] | None:
    try:
        found = from_json(value, allow_inf_nan=False)
    except ValueError:
        return None
    return found if isinstance(found, list) and len(found) <= MAX_TOP_K else None


def _is_result(hit: object) -> bool:
    """Whether it has a result's fields with values of their types, and no others."""
    return (
        isinstance(hit, dict)
        and hit.keys() == _TYPES.keys()
        and all(isinstance(hit[name], kinds) for name, kinds in _TYPES.items())
    )
