"""Product ids by point id. They never change: a point's id is made of tenant and product id.

A ranking of 1,000 points takes Qdrant 4 ms, and 15 ms if it has to read the product ids from their
payloads. So each process reads them once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

_MOST: Final = 200_000
"""Ids that are kept: some 30 MB."""


class ProductIds:
    """The product ids that a process has read. Threads share it."""

    def __init__(self, read: Callable[[Sequence[str]], Mapping[str, str]]) -> None:
        """`read`: the product ids of points; those that are gone are left out."""
        self._read = read
        self._known: dict[str, str] = {}

    def of(self, points: Sequence[str]) -> Mapping[str, str]:
        """The product ids of these points; those that are gone are left out. Raises as `read`."""
        known = self._known  # another thread may begin with an empty one meanwhile
        found = {point: known[point] for point in points if point in known}
        unknown = [point for point in points if point not in found]
        if not unknown:
            return found
        read = self._read(unknown)
        if len(self._known) + len(read) > _MOST:
            self._known = {}
        self._known.update(read)
        return {**found, **read}
