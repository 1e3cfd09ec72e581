"""Decodes a product's picture: bytes of any opened format to an upright RGB image.

Pure: no network, no files, no model. The result is the picture that a shopper's browser would show
on a white page: turned by its EXIF, its colours as sRGB, transparency on white, 16-bit and CMYK
converted, the first frame of an animation. Two things differ from a browser, because a blank
picture finds nothing: the ground is grey if white would show nothing of a shape, and the first
frame is the first that shows something.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import Final

from PIL import Image
from PIL.ExifTags import Base as ExifTag
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile

from shared.embedding.decoding.colours import conversion
from shared.embedding.decoding.costs import check_size, checked_cost, decoding_bytes
from shared.embedding.decoding.endings import decoded_without_its_end
from shared.embedding.decoding.faults import BOMBS, no_picture, of_error, too_many_pixels
from shared.embedding.decoding.files import avif, bmp, gif, jpeg, png, webp
from shared.embedding.decoding.files.parts import FileParts
from shared.embedding.decoding.formats import OpenedFormat, opened_format
from shared.embedding.decoding.frames import shown_frame
from shared.embedding.decoding.structure import PictureFile
from shared.errors import VitrineError

DRAFT_EDGE: Final = 448
"""Twice CLIP's usual 224: the details that the decoder's coarse scaling loses are then lost anyway.
At the input size itself the error grew fivefold; a model with a larger input needs a larger edge.
"""

COARSE_DRAFT_EDGE: Final = 336
"""One and a half times CLIP's usual 224, for a tower in int8, which rounds more than this loses: at
most 4 % of the distance to the nearest other picture, cosine 0.9999. Photos of 800 pixels, as shops
like them, are then decoded at a half, and take half the time."""

# Pillow tells of each broken EXIF tag, of which a picture may hold 65,535: ten megabytes of log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_UPRIGHT: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def decode_picture(
    data: bytes,
    max_pixels: int,
    draft_edge: int | None = DRAFT_EDGE,
    admit: Callable[[int], None] | None = None,
) -> Image.Image:
    """Decode `data` to an upright RGB picture that owns its pixels.

    `max_pixels` bounds width × height as the file's header claims it, before anything is decoded
    (Pillow's own bound of 179 million stays in force beside it).
    A JPEG with a shorter edge of at least twice `draft_edge` is decoded at a half, a quarter or
    an eighth, never below `draft_edge` (12 megapixels then cost about 20 ms); None decodes it
    in full. `admit` is called once, before anything is decoded, with the bytes of memory that it
    will take at its peak; it may wait.

    Damage that no pixel suffers from does no harm. Raises `ItemPermanent` with `not_an_image`,
    `image_unsupported_format`, `image_too_many_pixels` or `image_corrupt`, `ItemTransient` if
    memory ran out, and the faults that `admit` raises. No error holds on to pixels.
    """
    kind = opened_format(data)
    if kind is None:
        raise no_picture(data)
    found = _picture_or_fault(data, kind, max_pixels, draft_edge, admit)
    if isinstance(found, Image.Image):
        return found
    raise found


_PARTS: Final[Mapping[OpenedFormat, Callable[[bytes], FileParts]]] = {
    OpenedFormat.JPEG: jpeg.parts,
    OpenedFormat.PNG: png.parts,
    OpenedFormat.WEBP: webp.parts,
    OpenedFormat.GIF: gif.parts,
    OpenedFormat.AVIF: avif.parts,
    OpenedFormat.BMP: bmp.parts,
}


def _picture_or_fault(
    data: bytes,
    kind: OpenedFormat,
    max_pixels: int,
    draft_edge: int | None,
    admit: Callable[[int], None] | None,
) -> Image.Image | VitrineError:
    """The picture, or its fault without traceback and cause: their frames would hold pixels. For
    the same reason a second try begins outside of the block that caught the first one's error.
    """
    form, decoding = None, None
    try:
        file = _PARTS[kind](data)
        form = file.form
        decoding = _Decoding(file, kind, max_pixels, draft_edge, admit)
        return decoding.picture(file.data)
    except Exception as err:  # Pillow's decoders raise any kind of error for a broken file.
        fault = of_error(err, kind, form, max_pixels)
        ours = isinstance(err, (VitrineError, MemoryError, *BOMBS))
    # Until the file was admitted nothing is known to be small enough to be tried again.
    if ours or decoding is None or not decoding.pixels:
        return fault
    try:
        return decoded_without_its_end(file, kind, decoding) or fault
    except Exception as err:
        return of_error(err, kind, form, max_pixels)


class _Decoding:
    """One picture's way to its pixels; a second try takes the memory of the first."""

    def __init__(
        self,
        file: FileParts,
        kind: OpenedFormat,
        max_pixels: int,
        draft_edge: int | None,
        admit: Callable[[int], None] | None,
    ) -> None:
        self._file = file
        self._kind = kind
        self._max_pixels = max_pixels
        self._draft_edge = draft_edge
        self._admit = admit
        self._reads = count(1)
        self.pixels = 0
        """In full, as soon as the picture is admitted."""
        self.scaled = False
        """Whether it is decoded coarsely."""

    def picture(self, data: bytes) -> Image.Image:
        """The picture of the file or, if that is cut short, of a mended one.

        Raises item faults, and any error of Pillow's decoders.
        """
        with self._opened(data) as image:
            profile = self._file.profile
            if self._kind is OpenedFormat.AVIF:
                profile = image.info.get("icc_profile")
            orientation = self._file.orientation
            method = _UPRIGHT.get(_orientation(image) if orientation is None else orientation)
            picture = shown_frame(image, conversion(profile))
            return picture.transpose(method) if method is not None else picture

    def samples(self, data: bytes) -> Image.Image:
        """The pixels of a file before any conversion. Raises as `picture`."""
        with self._opened(data) as image:
            image.load()
            return image

    @contextmanager
    def _opened(self, data: bytes) -> Iterator[ImageFile]:
        if self._file.canvas is not None:
            check_size(self._file.canvas, self._max_pixels)
        if self._file.frame_pixels > self._max_pixels:
            raise too_many_pixels(None, self._max_pixels)
        with Image.open(PictureFile(data, self._kind, self._reads), formats=[self._kind]) as image:
            full = image.size
            check_size(full, self._max_pixels // self._file.weight)
            if self._kind is OpenedFormat.JPEG:
                jpeg.check_scans(data, full[0] * full[1], self._max_pixels)
            if self._draft_edge is not None:
                image.draft(None, (self._draft_edge, self._draft_edge))
            if not self.pixels:
                held = jpeg.held_bytes(data) if self._kind is OpenedFormat.JPEG else 0
                most = decoding_bytes(self._max_pixels)
                cost = checked_cost(image, self._file, full, held, most)
                if self._admit is not None:
                    self._admit(cost)
                self.pixels, self.scaled = full[0] * full[1], image.size != full
            yield image


def _orientation(image: Image.Image) -> int:
    """As the decoder has it from the file's own boxes, told in EXIF's numbers."""
    with suppress(Exception):
        return int(image.getexif().get(ExifTag.Orientation, 1))
    return 1
