"""The caches of searches: answers and result sets, each under all that it depends on.

Both are written and read through their types. The cache may hold what another version wrote, or
somebody else: what doesn't fit is dropped and computed anew.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from shared.metrics import SEARCH_CACHE_REQUESTS, SEARCH_RANKING_REQUESTS
from shared.models.change import Aspect
from shared.models.search.answers import Answered
from shared.models.search.requests import MAX_TOP_K
from shared.search.cache.redis import CacheConnection
from shared.search.result_set.results import MAX_RESULTS, Found

T = TypeVar("T")

_ANSWERED: Final = TypeAdapter(Answered)
_FOUND: Final = TypeAdapter(Found)


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


class ResultSetCache:
    """The products that a query means, and their scores; their fields are read anew.

    A result set depends on less than an answer does, so it outlives changes of fields; and pages,
    sorts and facets share it.
    """

    def __init__(self, connection: CacheConnection, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl_seconds = ttl_seconds

    def get(self, key: str) -> Found | None:
        """The set under a key from `answer_key`; one that can't be read is dropped."""
        value = self._connection.get(f"set:{key}")
        if value is None:
            SEARCH_RANKING_REQUESTS.labels("miss").inc()
            return None
        found = _read(_FOUND, value)
        if found is not None and not (found.is_whole and len(found.ids) <= MAX_RESULTS):
            found = None
        if found is None:
            self._connection.drop(f"set:{key}")
        SEARCH_RANKING_REQUESTS.labels("unreadable" if found is None else "hit").inc()
        return found

    def put(self, key: str, found: Found) -> None:
        """Holds the set until the TTL ends."""
        self._connection.put(f"set:{key}", _FOUND.dump_json(found), self._ttl_seconds)


class AnswerCache:
    """Answers in Redis as JSON, gone after the TTL."""

    def __init__(self, connection: CacheConnection, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl_seconds = ttl_seconds

    def get(self, key: str) -> Answered | None:
        """The answer under a key from `answer_key`; one that can't be read is dropped."""
        value = self._connection.get(key)
        if value is None:
            result = "unavailable" if self._connection.is_down else "miss"
            SEARCH_CACHE_REQUESTS.labels(result).inc()
            return None
        answer = _read(_ANSWERED, value)
        if answer is not None and len(answer.results) > MAX_TOP_K:
            answer = None
        if answer is None:
            self._connection.drop(key)
        SEARCH_CACHE_REQUESTS.labels("unreadable" if answer is None else "hit").inc()
        return answer

    def put(self, key: str, answer: Answered) -> None:
        """Holds the answer until the TTL ends."""
        self._connection.put(key, _ANSWERED.dump_json(answer), self._ttl_seconds)


def _read(form: TypeAdapter[T], value: bytes) -> T | None:
    try:
        return form.validate_json(value)
    except ValidationError:
        return None
