"""The answer cache: a search's hits under all that they depend on.

Hits and rankings are written and read through their types. The cache may hold what another version
wrote, or somebody else: what doesn't fit is dropped and computed anew.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from shared.metrics import SEARCH_CACHE_REQUESTS, SEARCH_RANKING_REQUESTS
from shared.models.change import Aspect
from shared.models.search.hits import Hit, Ranked
from shared.models.search.requests import MAX_TOP_K
from shared.search.cache.redis import CacheConnection

T = TypeVar("T")

_STRICT: Final = ConfigDict(strict=True, allow_inf_nan=False)
_HITS: Final = TypeAdapter(Annotated[list[Hit], Field(max_length=MAX_TOP_K)])
_RANKING: Final = TypeAdapter(Annotated[list[Ranked], Field(max_length=MAX_TOP_K)], config=_STRICT)


def answer_key(
    tenant: str,
    collection: str,
    generation: Mapping[Aspect, str],
    query: Mapping[str, object],
) -> str:
    """The key of an answer: equal queries on an unchanged index share one.

    `query` holds all else that the answer depends on, equal for equal queries. The generation
    makes every answer from before a change unreachable, so nothing is ever deleted.
    """
    parts = to_json([tenant, collection, generation, sorted(query.items())])
    return f"search:{hashlib.sha256(parts).hexdigest()}"


class RankingCache:
    """Which products answer a query, and their scores; their fields are read anew.

    A ranking depends on less than an answer does, so it outlives changes of fields.
    """

    def __init__(self, connection: CacheConnection, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl_seconds = ttl_seconds

    def get(self, key: str) -> Sequence[Ranked] | None:
        """The ranking under a key from `answer_key`; one that can't be read is dropped."""
        value = self._connection.get(f"ranking:{key}")
        if value is None:
            SEARCH_RANKING_REQUESTS.labels("miss").inc()
            return None
        ranking = _read(_RANKING, value)
        if ranking is None:
            self._connection.drop(f"ranking:{key}")
        SEARCH_RANKING_REQUESTS.labels("unreadable" if ranking is None else "hit").inc()
        return ranking

    def put(self, key: str, ranking: Sequence[Ranked]) -> None:
        """Holds the ranking until the TTL ends."""
        self._connection.put(f"ranking:{key}", to_json(ranking), self._ttl_seconds)


class AnswerCache:
    """Hits in Redis as JSON, gone after the TTL."""

    def __init__(self, connection: CacheConnection, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl_seconds = ttl_seconds

    def get(self, key: str) -> Sequence[Hit] | None:
        """The hits under a key from `answer_key`; what can't be read is dropped."""
        value = self._connection.get(key)
        if value is None:
            result = "unavailable" if self._connection.is_down else "miss"
            SEARCH_CACHE_REQUESTS.labels(result).inc()
            return None
        hits = _read(_HITS, value)
        if hits is None:
            self._connection.drop(key)
        SEARCH_CACHE_REQUESTS.labels("unreadable" if hits is None else "hit").inc()
        return hits

    def put(self, key: str, hits: Sequence[Hit]) -> None:
        """Holds the hits until the TTL ends."""
        self._connection.put(key, _HITS.dump_json(list(hits)), self._ttl_seconds)


def _read(form: TypeAdapter[T], value: bytes) -> T | None:
    try:
        return form.validate_json(value)
    except ValidationError:
        return None
