"""Pages of results in one order, whatever order Qdrant gives to equal scores. Pure.

Products that share a picture have the same score, and Qdrant puts such in any order, another one
for another page size: pages would then repeat some products and never show others. Here, equal
scores are ordered by product id. For that, every run of equal scores that a page touches must have
been read as a whole, so a little more than the page is asked for, and much more if that was not
enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MARGIN: Final = 8
"""Hits read beyond each end of a page: a product comes in about as many sizes."""

_MAX_WINDOW: Final = 2048
"""Hits read for one page at most. Longer runs of equal scores are cut somewhere."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A product that was found, by the whole score: `payload` holds what was read of it."""

    product_id: str
    score: float
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of all hits in falling order of score: `limit` of them from `start` on."""

    start: int
    limit: int

    def page(self, hits: Sequence[Scored], offset: int, top_k: int) -> list[Scored] | None:
        """The `top_k` hits from `offset` on, out of this window's; None if it may be cut short
        within a run of equal scores.
        """
        first, end = offset - self.start, offset - self.start + top_k
        ordered = in_order(hits)
        page = ordered[first:end]
        if not page:
            return page
        whole_before = self.start == 0 or page[0].score != ordered[0].score
        whole_behind = len(hits) < self.limit or page[-1].score != ordered[-1].score
        return page if whole_before and whole_behind else None


def in_order(hits: Sequence[Scored]) -> list[Scored]:
    """Best first, equal scores by product id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.product_id))


def windows(offset: int, top_k: int) -> Iterator[Window]:
    """The reads for a page, one after the other until one gives it."""
    start = max(0, offset - _MARGIN)
    yield Window(start, offset - start + top_k + _MARGIN)
    limit = offset + top_k + _MARGIN
    while limit < _MAX_WINDOW:
        limit = min(16 * limit, _MAX_WINDOW)
        yield Window(0, limit)
