"""Finds out whether a file that is cut short has all of its pixels, and decodes it if it has.

Several endings are tried: a pixel that isn't in the file differs with them.
"""

import hashlib
import random
from collections.abc import Iterator
from typing import Final, Protocol

from PIL import Image

from shared.embedding.decoding.files import jpeg, png
from shared.embedding.decoding.files.parts import FileParts
from shared.embedding.decoding.flattening import bands
from shared.embedding.decoding.formats import OpenedFormat
from shared.errors import TransientError

_END: Final = b"\xff\xd9"
_PASSES_IN_FULL: Final = 8
"""Without coarse scaling a picture takes about as long as with it a JPEG of so many scans."""
MAX_MENDED_PIXELS: Final = 100_000_000
"""The most pixels times scans of a file without its end, because it is decoded ten times: about a
second. A photo of 50 megapixels may have two scans, one of 8 megapixels twelve.
"""


class Decoding(Protocol):
    """How one picture is decoded that is admitted already."""

    pixels: int
    """In full."""
    scaled: bool
    """Whether it is decoded coarsely."""

    def samples(self, data: bytes) -> Image.Image:
        """The pixels of a file before any conversion."""
        ...

    def picture(self, data: bytes) -> Image.Image:
        """The picture of a file."""
        ...


def decoded_without_its_end(
    file: FileParts, kind: OpenedFormat, decoding: Decoding
) -> Image.Image | None:
    """The picture of a file that is cut short behind its last pixel; None if one is missing.

    Samples are compared, because converting them may take several times as long as decoding.
    Raises `MemoryError`, faults that may pass, and the errors of decoding a mended file.
    """
    data = file.data
    if kind is OpenedFormat.PNG:
        mended = png.cut_behind_its_pixels(data)
        return None if mended is None else decoding.picture(mended)
    passes = 1 if decoding.scaled else _PASSES_IN_FULL
    if kind is OpenedFormat.JPEG and jpeg.lacks_only_its_end(data):
        passes = max(passes, sum(1 for _ in jpeg.scans(data)))
    elif kind not in {OpenedFormat.GIF, OpenedFormat.BMP} or file.weight > 1:
        return None
    if passes * decoding.pixels > MAX_MENDED_PIXELS:
        return None
    # Half of the end marker, or of a stuffed byte.
    data = data.removesuffix(b"\xff")
    digests: set[bytes] = set()
    for ending in _ENDINGS:
        try:
            digests.add(_digest(decoding.samples(data + ending + _END)))
        except (MemoryError, TransientError):
            raise
        except Exception:  # With this ending it is worse than with none.
            return None
        if len(digests) > 1:
            return None
    return decoding.picture(data + _ENDINGS[0] + _END)


def _endings() -> Iterator[bytes]:
    """Noise and its complement, without 0xFF, which would begin a marker in a JPEG; several, since
    a last bit that is missing is the same in two of them by chance.
    """
    for seed in range(4):
        noise = bytes(random.Random(seed).choices(range(1, 255), k=1_024))  # noqa: S311 - no secret
        yield noise
        yield bytes(255 - value for value in noise)


_ENDINGS: Final = tuple(_endings())


def _digest(picture: Image.Image) -> bytes:
    digest = hashlib.sha256()
    for box in bands(picture.size):
        digest.update(picture.crop(box).tobytes())
    return digest.digest()
