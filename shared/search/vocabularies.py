"""The words that each tenant's catalogue knows, read from the index when they may have changed."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shared.models.change import Aspect
from shared.words.analyser import Analyser, QueryWords
from shared.words.vocabulary import Vocabulary

WORDED: Final = frozenset(
    {Aspect.MEMBERSHIP, Aspect.CATEGORY, Aspect.BRAND, Aspect.ATTRIBUTES, Aspect.SHOWN}
)
"""The parts of the index that words and codes are made of."""

_MAX_TENANTS: Final = 64
"""Vocabularies held, those least recently used dropped first: one of 20,000 products takes some
megabytes."""

_FRESH_SECONDS: Final = 5.0
"""A vocabulary that is no older serves queries of which it knows every word, whatever has changed:
a catalogue that is being pushed changes every second, and reading it takes tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class _Held:
    vocabulary: Vocabulary
    version: tuple[str, ...] | None
    read_at: float


class Vocabularies:
    """Analyses queries by the words of the tenant's catalogue."""

    def __init__(self, analyser: Analyser, read: Callable[[str], Vocabulary]) -> None:
        """`read` gives a tenant's vocabulary from the index. It raises QdrantUnavailable and
        QdrantRejected."""
        self._analyser = analyser
        self._read = read
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def words(
        self, tenant: str, text: str, generation: Mapping[Aspect, str] | None, view: str = ""
    ) -> QueryWords:
        """The query's words. None is corrected, and none unknown, that the catalogue of this
        generation knows. Raises QdrantUnavailable and QdrantRejected.

        `generation`: None if it isn't known; then the vocabulary is read if a word is unknown.
        `view`: of the index, which an upgrade changes without a generation.
        """
        version = None
        if generation is not None:
            version = (view, *(generation[aspect] for aspect in sorted(WORDED)))
        held = self._of(tenant)
        if held is not None:
            is_current = version is not None and held.version == version
            words = self._analyser.of_query(text, held.vocabulary)
            is_fresh = time.monotonic() - held.read_at < _FRESH_SECONDS
            if is_current:
                return words
            if is_fresh and not words.corrected and not words.unknown:
                # Forms that the catalogue may have learnt meanwhile count, too.
                return self._analyser.of_query(text, None)
        # The moment before the read: what changes meanwhile must not count as seen.
        read_at = time.monotonic()
        held = _Held(self._read(tenant), version, read_at)
        with self._lock:
            self._held[tenant] = held
            self._held.move_to_end(tenant)
            while len(self._held) > _MAX_TENANTS:
                self._held.popitem(last=False)
        return self._analyser.of_query(text, held.vocabulary)

    def _of(self, tenant: str) -> _Held | None:
        with self._lock:
            if tenant in self._held:
                self._held.move_to_end(tenant)
            return self._held.get(tenant)
