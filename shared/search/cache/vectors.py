"""The cache of query vectors: no catalogue change spoils them, only another model does."""

import hashlib
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.metrics import QUERY_VECTOR_REQUESTS
from shared.search.cache.redis import CacheConnection

_TTL_SECONDS = 7 * 86_400
_NORM_TOLERANCE = 1e-3

Vector = npt.NDArray[np.float32]
QueryKind = Literal["text", "image"]


class QueryVectorCache:
    """Vectors of one model in Redis, 4 bytes a number.

    What they belong to is named by its kind and content: a text itself, or the SHA-256 of a
    picture's file. What a URL serves may change, so a URL names no vector.
    """

    def __init__(self, connection: CacheConnection, collection: str, dimensions: int) -> None:
        """`collection` stands for the model: vectors of two models never meet."""
        self._connection = connection
        self._collection = collection
        self._bytes = 4 * dimensions

    def get(self, kind: QueryKind, content: str) -> Vector | None:
        """The vector, float32 of shape (dimensions,), if held."""
        key = self._key(kind, content)
        value = self._connection.get(key)
        if value is None:
            QUERY_VECTOR_REQUESTS.labels("miss").inc()
            return None
        vector = self._parsed(value)
        if vector is None:
            self._connection.drop(key)
        QUERY_VECTOR_REQUESTS.labels("unreadable" if vector is None else "hit").inc()
        return vector

    def put(self, kind: QueryKind, content: str, vector: Vector) -> None:
        """Holds the vector for a week; the server drops the least used ones earlier."""
        value = vector.astype("<f4").tobytes()
        self._connection.put(self._key(kind, content), value, _TTL_SECONDS)

    def _parsed(self, value: bytes) -> Vector | None:
        if len(value) != self._bytes:
            return None
        vector = np.frombuffer(value, dtype="<f4")
        # What is no unit vector is none of ours. A comparison with NaN is false, too.
        return vector if abs(float(vector @ vector) - 1) < _NORM_TOLERANCE else None

    def _key(self, kind: QueryKind, content: str) -> str:
        digest = hashlib.sha256(f"{self._collection} {kind} {content}".encode()).hexdigest()
        return f"vector:{digest}"
