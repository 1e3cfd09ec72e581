"""Finds the points without today's terms and words, and adds them, and what else filters
rely on.

A point gets them with every write of its product. Points that an earlier release wrote, or another
version of the analyser, get theirs here, and no picture is fetched or embedded for it. Until all
points have them, filters look for both kinds of terms (`shared/qdrant/filters.py`), and searches by
words miss the others.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from qdrant_client import QdrantClient, models

from shared.qdrant import filters as conditions
from shared.qdrant.errors import translated
from shared.qdrant.points import IndexedWords, derived, product_of, words_vector
from shared.qdrant.upsert import update, vectors_operation
from shared.qdrant.words import words_of
from shared.words.analyser import Analyser

_PAGE: Final = 256

_PASSES: Final = 3
"""A worker of an earlier release may go on writing meanwhile; its operator has to stop it."""

_LOOK_AGAIN_SECONDS: Final = 30.0
"""The question takes a server some milliseconds, and the answer changes once."""

_LOOK_ONCE_MORE_SECONDS: Final = 300.0
"""A worker of an earlier release may still be running, and write."""


class UpgradeWatch:
    """Whether every product of a collection is upgraded, as far as this process knows."""

    def __init__(
        self, client: QdrantClient, collection: str, read_timeout: int, words_mark: str | None
    ) -> None:
        """`words_mark`: the analyser's; None if this process doesn't care for words."""
        self._client = client
        self._collection = collection
        self._read_timeout = read_timeout
        self._condition = conditions.to_upgrade(words_mark)
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
        with translated("look for products to upgrade"):
            found, _ = self._client.scroll(
                self._collection,
                scroll_filter=models.Filter(**self._condition),
                limit=1,
                with_payload=False,
                with_vectors=False,
                timeout=self._read_timeout,
            )
        self.known_complete = not found
        return self.known_complete


def upgrade(client: QdrantClient, collection: str, analyser: Analyser | None) -> Iterator[int]:
    """Gives terms and words to all points that lack them; yields how many at a time.

    Each only if it still has the rev that was read: a write that came in between has brought
    its own. `analyser`: None gives terms alone. Raises QdrantUnavailable and QdrantRejected.
    """
    for _ in range(_PASSES):
        found = False
        for records in _to_upgrade(client, collection, analyser):
            found = True
            _upgrade(client, collection, analyser, records)
            yield len(records)
        if not found:
            return


def _to_upgrade(
    client: QdrantClient, collection: str, analyser: Analyser | None
) -> Iterator[list[models.Record]]:
    condition = conditions.to_upgrade(analyser.mark if analyser else None)
    offset = None
    while True:
        with translated("read points to upgrade"):
            records, offset = client.scroll(
                collection,
                scroll_filter=models.Filter(**condition),
                limit=_PAGE,
                offset=offset,
                with_payload=True,
                with_vectors=False,
            )
        if records:
            yield records
        if offset is None:
            return


def _upgrade(
    client: QdrantClient,
    collection: str,
    analyser: Analyser | None,
    records: list[models.Record],
) -> None:
    """As a batch: first the vectors, because whoever is killed in between begins again with the
    points whose lists lack the mark.
    """
    vectors, payloads = [], []
    for record in records:
        payload, point = record.payload or {}, str(record.id)
        words = _words(analyser, payload)
        unchanged = conditions.of_rev(point, payload["rev"])
        if vector := words_vector(words):
            vectors.append(({"id": point, "vector": vector}, unchanged))
        payloads.append({"set_payload": {"payload": derived(payload, words), "filter": unchanged}})
    update(client, collection, [vectors_operation(vectors), *payloads] if vectors else payloads)


def _words(analyser: Analyser | None, payload: dict[str, Any]) -> IndexedWords | None:
    if analyser is None:
        return None
    return words_of(analyser, product_of(payload))
