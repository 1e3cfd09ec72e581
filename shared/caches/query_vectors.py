"""The cache of query vectors: no catalogue change spoils them, only another model does."""

import hashlib

import numpy as np
import numpy.typing as npt

from shared.caches.connection import CacheConnection

_TTL_SECONDS = 7 * 86_400

Vector = npt.NDArray[np.float32]


class QueryVectorCache:
    """Text vectors of one model in Redis, 4 bytes a number."""

    def __init__(self, connection: CacheConnection, collection: str, dimensions: int) -> None:
        """`collection` stands for the model: vectors of two models never meet."""
        self._connection = connection
        self._collection = collection
        self._bytes = 4 * dimensions

    def get(self, text: str) -> Vector | None:
        """The text's vector, float32 of shape (dimensions,), if held."""
        value = self._connection.get(self._key(text))
        if value is None or len(value) != self._bytes:
            return None
        return np.frombuffer(value, dtype="<f4")

    def put(self, text: str, vector: Vector) -> None:
        """Holds the vector for a week; the server drops the least used ones earlier."""
        self._connection.put(self._key(text), vector.astype("<f4").tobytes(), _TTL_SECONDS)

    def _key(self, text: str) -> str:
        digest = hashlib.sha256(f"{self._collection} {text}".encode()).hexdigest()
        return f"vector:{digest}"
