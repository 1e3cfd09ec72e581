"""Indexes for ranges on attributes, each made when a search first asks for such a range.

Without one a range looks into the payload of every product, which takes 30 times as long as a
search without a filter. Values need none, because terms hold them.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import structlog
from qdrant_client import QdrantClient, models

from shared.errors import RangeNotIndexed
from shared.qdrant.errors import translated

log = structlog.get_logger(__name__)

MOST_RANGE_INDEXES: Final = 64
"""Attributes of a collection that may have such an index. Every write of one fills it, and names
come from whoever searches."""

_LOOK_AGAIN_SECONDS: Final = 60.0
"""The collection may be made anew, or an operator may list an attribute as another type."""

_NUMBERS: Final = ("float", "integer")


class RangeIndexes:
    """The attributes' indexes of numbers as this process knows them. Threads share it."""

    def __init__(
        self, client: QdrantClient, collection: str, schema: Callable[[], Mapping[str, Any]]
    ) -> None:
        """`schema`: reads the collection's indexes by payload path."""
        self._client = client
        self._collection = collection
        self._schema = schema
        self._known: frozenset[str] = frozenset()
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def ensure(self, paths: Collection[str]) -> None:
        """Makes the indexes that these attributes' paths lack; returns when a search can use them.

        Raises RangeNotIndexed if there are too many already, QdrantUnavailable and QdrantRejected.
        """
        if self._has(paths):
            return
        with self._lock:  # another thread waits for this one's index
            if self._has(paths):
                return
            with translated("look at the indexes"):
                held = {path: index["data_type"] for path, index in self._schema().items()}
            known = {
                path
                for path, kind in held.items()
                if path.startswith("attributes.") and kind in _NUMBERS
            }
            for path in sorted(set(paths) - known):
                self._make(path, len(known), is_held=path in held)
                known.add(path)
            self._known, self._looked = frozenset(known), time.monotonic()

    def _has(self, paths: Collection[str]) -> bool:
        is_fresh = time.monotonic() < self._looked + _LOOK_AGAIN_SECONDS
        return is_fresh and self._known.issuperset(paths)

    def _make(self, path: str, count: int, *, is_held: bool) -> None:
        if count >= MOST_RANGE_INDEXES:
            raise RangeNotIndexed(
                f"{path} has no index for ranges, and {count} attributes have one already; have "
                "it listed in ATTRIBUTE_INDEXES as a float"
            )
        with translated("make an index"):
            if is_held:
                # One of strings, say. Searches compare these by terms and don't miss it.
                self._client.delete_payload_index(self._collection, path, wait=True)
            self._client.create_payload_index(
                self._collection, path, models.PayloadSchemaType.FLOAT, wait=True
            )
        log.info("range_index_made", collection=self._collection, path=path)
