"""The boxes of an ISO media file (ISO/IEC 14496-12), of which AVIF is one.

Steps are counted, because a few bytes may claim any number of parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.embedding.decoding.faults import too_many_parts
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.structure import MAX_SEGMENTS


@dataclass(frozen=True, slots=True)
class Box:
    """A box by its name, and the begin and end of its body in the file."""

    name: bytes
    start: int
    end: int


class Reader:
    """Reads numbers and boxes from a place of a file onwards; behind its end all are zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._steps = 0

    def number(self, at: int, size: int) -> int:
        """The unsigned number of `size` bytes at a place."""
        return int.from_bytes(self.data[at : at + size])

    def step(self) -> None:
        """One more part. Raises `ItemPermanent` with `image_corrupt` for far too many."""
        self._steps += 1
        if self._steps > MAX_SEGMENTS:
            raise too_many_parts("parts", OpenedFormat.AVIF)

    def boxes(self, at: int, end: int) -> Iterator[Box]:
        """Those that follow each other from one place to another. Raises as `step`."""
        while at + 8 <= end:
            self.step()
            length, head = self.number(at, 4), 8
            if length == 1:
                length, head = self.number(at + 8, 8), 16
            elif length == 0:
                length = end - at
            if length < head:
                return
            yield Box(self.data[at + 4 : at + 8], at + head, min(at + length, end))
            at += length
