"""The answer cache: a search's results under all that they depend on."""

import hashlib
from collections.abc import Mapping, Sequence

from pydantic_core import from_json, to_json

from shared.caches.connection import CacheConnection
from shared.metrics import SEARCH_CACHE_REQUESTS
from shared.models.change import Aspect
from shared.models.search import SearchRequest

Results = Sequence[Mapping[str, object]]


def answer_key(
    tenant: str, collection: str, generation: Mapping[Aspect, str], request: SearchRequest
) -> str:
    """The key of an answer: equal requests on an unchanged index share one.

    The generation makes every answer from before a change unreachable, so nothing is ever deleted.
    """
    normalised = request.model_dump(exclude_none=True)
    normalised["text_query"] = request.normalised_text()
    for bound in ("price_min", "price_max"):
        if bound in normalised:
            normalised[bound] = float(normalised[bound])  # 20 and 20.0 ask for the same
    parts = to_json([tenant, collection, generation, sorted(normalised.items())])
    return f"search:{hashlib.sha256(parts).hexdigest()}"


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


def _parsed(value: bytes) -> Results | None:
    try:
        results = from_json(value)
    except ValueError:
        return None
    if isinstance(results, list) and all(isinstance(result, dict) for result in results):
        return results
    return None
