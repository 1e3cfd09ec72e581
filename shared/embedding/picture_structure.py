"""Refuses pictures that are built to be slow: far more parts than any camera or editor writes.

Pixels bound what decoding costs only where each pixel is decoded once. A JPEG of 400 kB with 3,000
scans of 49 million pixels kept a core busy for three minutes, since each scan goes over the whole
picture; comments and chunks by the million cost Pillow ten seconds and hundreds of megabytes. What
is looked at here is how a file is divided; whatever is damaged is left to its decoder.
"""

import io
import re
from typing import Final

from shared.embedding.picture_formats import OpenedFormat
from shared.errors import ItemCode, ItemPermanent

MAX_SCANS: Final = 100
"""Of a JPEG. Encoders write up to some twenty."""

MAX_READS: Final = 500_000
"""Two or three for each chunk, segment or block that Pillow reads: a second's work. A PNG of 20 MiB
in chunks of 8 kB, which are the smallest in use, takes 10,000."""

_SCAN: Final = b"\xff\xda"
_END: Final = 0xD9
_WITHOUT_LENGTH: Final = frozenset({0x01, 0xD8})
# In a scan's data 0xFF is followed by 0, and restart markers belong to it.
_MARKER: Final = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)


class PictureFile(io.BytesIO):
    """A picture's bytes for Pillow, which may be read from only so often."""

    def __init__(self, data: bytes, kind: OpenedFormat) -> None:
        super().__init__(data)
        self._kind = kind
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As usual; ItemPermanent with `image_corrupt` beyond the limit."""
        self._reads += 1
        if self._reads > MAX_READS:
            raise _too_many("parts", self._kind)
        return super().read(size)


def check_scans(data: bytes) -> None:
    """Raises ItemPermanent with `image_corrupt` for a JPEG of more than `MAX_SCANS` scans."""
    # In some files these two bytes stand behind the end or in metadata, too: only where there are
    # many of them is it worth finding out what they are.
    if data.count(_SCAN) <= MAX_SCANS:
        return
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker == _END:
            return
        scans += found[0] == _SCAN
        if scans > MAX_SCANS:
            raise _too_many("scans", OpenedFormat.JPEG)
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2])


def _too_many(parts: str, kind: OpenedFormat) -> ItemPermanent:
    return ItemPermanent(
        ItemCode.IMAGE_CORRUPT,
        f"The {kind} file is made of far more {parts} than any picture needs. "
        "Export the picture again and upload it anew.",
    )
