"""Refuses pictures that are built to be slow: far more parts than any camera or editor writes.

Pixels bound the cost of decoding only if each pixel is decoded once. A JPEG of 400 kB with 3,000
scans of 49 million pixels kept a core busy for three minutes, since each scan goes over the whole
picture; comments and chunks by the million cost Pillow ten seconds and hundreds of megabytes. Only
the division of a file is looked at here; its damage is left to its decoder.
"""

import io
from collections.abc import Iterator
from typing import Final

from shared.embedding.decoding.faults import too_many_parts
from shared.embedding.decoding.formats import OpenedFormat

MAX_SCANS: Final = 100
"""Of a JPEG of any size."""
SCANS_OF_THE_LARGEST: Final = 20
"""Of a JPEG of as many pixels as are accepted. Encoders write ten, and some up to about twenty; a
scan of 50 million pixels takes 50 ms even if it is empty."""

MAX_SEGMENTS: Final = 100_000
"""Segments of a JPEG before its first scan, or chunks of a PNG or WebP: a fifth of a second's work.
A PNG of 20 MiB in chunks of 8 kB, which are the smallest in use, has 2,600."""

MAX_FRAMES: Final = 100
"""Frames of an animation that are looked at for the first that shows something."""

MAX_READS: Final = 500_000
"""One or two for each block that Pillow reads of a GIF or BMP: a second's work. All tries to decode
a picture have them together."""


class PictureFile(io.BytesIO):
    """A picture's bytes for Pillow, which may be read from only so often."""

    def __init__(self, data: bytes, kind: OpenedFormat, reads: Iterator[int]) -> None:
        super().__init__(data)
        self._kind = kind
        self._reads = reads

    def read(self, size: int | None = -1, /) -> bytes:
        """As usual. Raises `ItemPermanent` with `image_corrupt` beyond the limit."""
        if next(self._reads) > MAX_READS:
            raise too_many_parts("parts", self._kind)
        return super().read(size)
