"""Finds the points without today's terms, and adds the terms, and what else filters rely on.

A point gets its terms with every write of its product. Points that an earlier release wrote get
theirs here, and no picture is fetched or embedded for it. Until all points have them, filters look
for both kinds (`shared/qdrant/filters.py`).
"""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import orjson
from qdrant_client import QdrantClient, models

from shared.models.terms import TERM_FIELDS
from shared.qdrant import filters as conditions
from shared.qdrant.errors import translated
from shared.qdrant.points import derived
from shared.qdrant.upsert import check_applied

_PAGE: Final = 256

_PASSES: Final = 3
"""A worker of an earlier release may go on writing meanwhile; its operator has to stop it."""

_LOOK_AGAIN_SECONDS: Final = 30.0
"""The question takes a server some milliseconds, and the answer changes once."""

_LOOK_ONCE_MORE_SECONDS: Final = 300.0
"""A worker of an earlier release may still be running, and write."""

_FACTS: Final = ["rev", "attributes", "price", "sale_price", *TERM_FIELDS]


class TermsWatch:
    """Whether every product of a collection has its terms, as far as this process knows."""

    def __init__(self, client: QdrantClient, collection: str, read_timeout: int) -> None:
        self._client = client
        self._collection = collection
        self._read_timeout = read_timeout
        self._looked = float("-inf")
        self.known_complete = False
        self._lock = threading.Lock()

    def complete(self) -> bool:
        """Asks Qdrant now and then until it is so. Raises QdrantUnavailable and QdrantRejected."""
        if not self.known_complete:
            with self._lock:  # another thread waits for this one's answer
                if time.monotonic() >= self._looked + _LOOK_AGAIN_SECONDS:
                    self.look()
        return self.known_complete

    def look_now_and_then(self) -> bool:
        """As `complete`, and once in a while also after it was so."""
        if self.known_complete and time.monotonic() >= self._looked + _LOOK_ONCE_MORE_SECONDS:
            self.look()
        return self.complete()

    def look(self) -> bool:
        """Asks Qdrant. Raises QdrantUnavailable and QdrantRejected."""
        self._looked = time.monotonic()
        with translated("look for products without terms"):
            found, _ = self._client.scroll(
                self._collection,
                scroll_filter=models.Filter(**conditions.without_terms()),
                limit=1,
                with_payload=False,
                with_vectors=False,
                timeout=self._read_timeout,
            )
        self.known_complete = not found
        return self.known_complete


def add_terms(client: QdrantClient, collection: str) -> Iterator[int]:
    """Gives terms to all points that lack them; yields how many at a time.

    Each only if it still has the rev that was read: a write that came in between has brought
    its own. Raises QdrantUnavailable and QdrantRejected.
    """
    for _ in range(_PASSES):
        found = False
        for records in _without_terms(client, collection):
            found = True
            _set_terms(client, collection, records)
            yield len(records)
        if not found:
            return


def _without_terms(client: QdrantClient, collection: str) -> Iterator[list[models.Record]]:
    offset = None
    while True:
        with translated("read points without terms"):
            records, offset = client.scroll(
                collection,
                scroll_filter=models.Filter(**conditions.without_terms()),
                limit=_PAGE,
                offset=offset,
                with_payload=_FACTS,
                with_vectors=False,
            )
        if records:
            yield records
        if offset is None:
            return


def _set_terms(client: QdrantClient, collection: str, records: list[models.Record]) -> None:
    operations: list[dict[str, Any]] = []
    for record in records:
        payload = record.payload or {}
        unchanged = conditions.of_rev(str(record.id), payload["rev"])
        operations.append({"set_payload": {"payload": derived(payload), "filter": unchanged}})
    with translated("write terms"):
        answer = client.http.points_api.batch_update(
            collection,
            wait=True,
            update_operations=orjson.dumps({"operations": operations}),  # type: ignore[arg-type]
        )
    check_applied(*(answer.result or ()))
