"""Decodes a product's picture: bytes of any opened format to an upright RGB image.

Pure: no network, no files, no model. The result is what a shopper's browser would show on a white
page: turned by its EXIF, its colours as sRGB, transparency on white, 16-bit and CMYK converted, the
first frame of an animation. Two things differ from a browser, because a blank picture finds
nothing: where white would show nothing of a shape, the ground is grey; and the first frame is the
first that shows something.
"""

import hashlib
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Final

from PIL import Image, ImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.Image import Transpose

from shared.embedding.decoding.colours import Conversion, conversion
from shared.embedding.decoding.files import avif, bmp, gif, jpeg, png, webp
from shared.embedding.decoding.files.parts import FileParts
from shared.embedding.decoding.flattening import bands, flattened, shows_nothing
from shared.embedding.decoding.formats import (
    OpenedFormat,
    looks_like_html,
    opened_format,
    unsupported_format,
)
from shared.embedding.decoding.structure import MAX_FRAMES, PictureFile
from shared.errors import ItemCode, ItemPermanent, ItemTransient, TransientError, VitrineError

DRAFT_EDGE: Final = 448
"""Twice CLIP's usual 224: what the decoder's coarse scaling loses is then lost anyway. At the input
size itself the error grew fivefold; a model with a larger input needs a larger edge."""

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

MAX_EDGE: Final = 65_535
"""Pixels of the longer edge: as much as a JPEG may have."""

LEAST_DECODING_BYTES: Final = 500_000_000

# Peak memory of decoding, bytes per pixel, a little above what pictures of 50 million pixels took
# (9.3, WebP 17): the decoder's own buffers, the samples as decoded (4 bytes for a colour of three),
# and one copy in another mode or another orientation.
_BYTES_PER_PIXEL: Final = 10
_WEBP_BYTES_PER_PIXEL: Final = 20
_DECODED_BYTES_PER_PIXEL: Final = 4
_RESIZING_BYTES_PER_EDGE: Final = 4 * 512
"""Resizing to a model's input, which is up to 512 pixels wide, holds so much for each row."""

_FRAMES_PIXELS: Final = 2_000_000
"""Of an animation whose further frames are looked at."""
_ALL_FRAMES_PIXELS: Final = 40_000_000
"""Of all frames that are looked at, a second or two. No clock decides on that, nor on how a cut
file is mended: a busy machine would give the same picture another vector."""

_FRAMES_BYTES_PER_PIXEL: Final = 25
"""This frame, the one before, and what it leaves behind."""


def decoding_bytes(max_pixels: int) -> int:
    """Memory that decoding must be given for pictures of up to `max_pixels`."""
    return max(LEAST_DECODING_BYTES, _BYTES_PER_PIXEL * max_pixels)


URGENT_DECODING_BYTES: Final = 50_000_000
"""Of these, for urgent pictures: usual photos as JPEG take 2 MB, five megapixels of PNG all."""


def decode_picture(
    data: bytes,
    max_pixels: int,
    draft_edge: int | None = DRAFT_EDGE,
    admit: Callable[[int], None] | None = None,
) -> Image.Image:
    """Decode `data` to an upright RGB picture that owns its pixels.

    `max_pixels` bounds width × height as the file's header claims it, before anything is decoded
    (Pillow's own bound of 179 million stays in force beside it).
    A JPEG whose shorter edge is at least twice `draft_edge` pixels is decoded at a half, a quarter
    or an eighth, never below `draft_edge` (12 megapixels then cost about 20 ms); None decodes it
    in full. `admit` is called once, before anything is decoded, with the bytes of memory that it
    will take at its peak; it may wait.

    Damage that no pixel suffers from does no harm. Raises ItemPermanent with `not_an_image`,
    `image_unsupported_format`, `image_too_many_pixels` or `image_corrupt`, and ItemTransient where
    memory ran out. Nothing else escapes but what `admit` raises as an error of ours. No error holds
    on to pixels.
    """
    kind = _format_to_open(data)
    found = _picture_or_fault(data, kind, max_pixels, draft_edge, admit)
    if isinstance(found, Image.Image):
        return found
    raise found


def _picture_or_fault(
    data: bytes,
    kind: OpenedFormat,
    max_pixels: int,
    draft_edge: int | None,
    admit: Callable[[int], None] | None,
) -> Image.Image | VitrineError:
    """Errors are returned without their traceback and cause, and a second try begins outside of the
    block that caught the first one's: through their frames they would hold its pixels.
    """
    form, decoding = None, None
    try:
        file = _parts(data, kind)
        form = file.form
        decoding = _Decoding(file, kind, max_pixels, draft_edge, admit)
        return decoding.picture(file.data)
    except Exception as err:  # Pillow's decoders raise whatever a broken file makes them raise.
        fault = _fault(err, kind, form, max_pixels)
        ours = isinstance(err, (VitrineError, MemoryError, *_BOMBS))
    # Until the file was admitted nothing is known to be small enough to be tried again.
    if ours or decoding is None or not decoding.is_admitted:
        return fault
    try:
        return _though_its_end_is_missing(decoding, file.data, kind) or fault
    except Exception as err:
        return _fault(err, kind, form, max_pixels)


_BOMBS: Final = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def _parts(data: bytes, kind: OpenedFormat) -> FileParts:
    match kind:
        case OpenedFormat.JPEG:
            return jpeg.parts(data)
        case OpenedFormat.PNG:
            return png.parts(data)
        case OpenedFormat.WEBP:
            return webp.parts(data)
        case OpenedFormat.AVIF:
            return avif.parts(data)
        case OpenedFormat.BMP:
            return bmp.parts(data)
        case OpenedFormat.GIF:
            return gif.parts(data)


def _fault(err: Exception, kind: OpenedFormat, form: str | None, max_pixels: int) -> VitrineError:
    """In words of ours: a library's may hold addresses and paths, and help no shop."""
    if isinstance(err, VitrineError):
        err.__cause__ = err.__context__ = None
        return err.with_traceback(None)
    if isinstance(err, MemoryError):
        return ItemTransient(
            ItemCode.INTERNAL_ERROR, "There was not enough memory to decode the picture."
        )
    if isinstance(err, _BOMBS):
        return _too_many_pixels(None, max_pixels)
    if kind is OpenedFormat.AVIF and "not implemented" in str(err).lower():
        form = "an AVIF of an unusual kind"
    if form is not None:
        return ItemPermanent(
            ItemCode.IMAGE_UNSUPPORTED_FORMAT,
            f"The file is {form}, which is not opened. "
            "Save it as a usual JPEG or PNG and upload it anew.",
        )
    return ItemPermanent(
        ItemCode.IMAGE_CORRUPT,
        f"The {kind} file is damaged or incomplete: not all of its pixels can be read. "
        "Export the picture again and upload it anew.",
    )


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
        self.is_admitted = False
        self.size = (0, 0)
        """In full, as soon as it is admitted."""

    def picture(self, data: bytes) -> Image.Image:
        """Of the file or, where that is cut short, of a mended one."""
        if self._kind is OpenedFormat.JPEG:
            jpeg.check_scans(data)
        if self._file.canvas is not None:
            _check_size(self._file.canvas, self._max_pixels)
        with Image.open(PictureFile(data, self._kind, self._reads), formats=[self._kind]) as image:
            full = image.size
            _check_size(full, self._max_pixels)
            if self._draft_edge is not None:
                image.draft(None, (self._draft_edge, self._draft_edge))
            if not self.is_admitted:
                held = jpeg.held_bytes(data) if self._kind is OpenedFormat.JPEG else 0
                cost = _checked_cost(image, full, held, decoding_bytes(self._max_pixels))
                if self._admit is not None:
                    self._admit(cost)
                self.size, self.is_admitted = full, True
            profile = self._file.profile
            if self._kind is OpenedFormat.AVIF:
                profile = image.info.get("icc_profile")
            return self._upright(image, conversion(profile))

    def _upright(self, image: ImageFile.ImageFile, to_srgb: Conversion | None) -> Image.Image:
        orientation = self._file.orientation
        method = _UPRIGHT.get(_orientation(image) if orientation is None else orientation)
        picture = _first_frame(image, to_srgb)
        if _may_be_animated(image) and shows_nothing(picture):
            picture = _later_frame(image, picture, to_srgb)
        return picture.transpose(method) if method is not None else picture


def _though_its_end_is_missing(
    decoding: _Decoding, data: bytes, kind: OpenedFormat
) -> Image.Image | None:
    """The picture of a file that is cut short behind its last pixel; None if one is missing.

    Several endings are tried: a pixel that isn't in the file differs with them.
    """
    if kind is OpenedFormat.PNG:
        mended = png.repacked(data)
        return None if mended is None else decoding.picture(mended)
    passes = _PASSES_IN_FULL
    if kind is OpenedFormat.JPEG and jpeg.lacks_only_its_end(data):
        passes = sum(1 for _ in jpeg.scans(data))
    elif kind not in {OpenedFormat.GIF, OpenedFormat.BMP}:
        return None
    if passes * decoding.size[0] * decoding.size[1] > MAX_MENDED_PIXELS:
        return None
    digests: set[bytes] = set()
    picture = None
    # Half of the end marker, or of a stuffed byte.
    data = data.removesuffix(b"\xff")
    for ending in _ENDINGS:
        del picture  # Only one at a time was admitted.
        try:
            picture = decoding.picture(data + ending + b"\xff\xd9")
        except (MemoryError, TransientError):
            raise
        except Exception:  # With this ending it is worse than with none.
            return None
        digests.add(_digest(picture))
        if len(digests) > 1:
            return None
    return picture


_PASSES_IN_FULL: Final = 8
"""A GIF or BMP, which has no coarse scaling, takes about as long as a JPEG with so many scans."""
MAX_MENDED_PIXELS: Final = 200_000_000
"""Of a file whose end is missing, its pixels times the scans that go over them: it is decoded nine
times. A photo of 50 megapixels may have four scans, one of 16 megapixels twelve."""


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


def _format_to_open(data: bytes) -> OpenedFormat:
    """The format by its magic bytes; raises ItemPermanent where we don't open it."""
    kind = opened_format(data)
    if kind is not None:
        return kind
    if not data:
        raise ItemPermanent(
            ItemCode.NOT_AN_IMAGE, "The file is empty. Check what the image URL serves."
        )
    other = unsupported_format(data)
    if other is not None:
        raise ItemPermanent(
            ItemCode.IMAGE_UNSUPPORTED_FORMAT,
            f"The file is {other}, whatever its name says. "
            "Send the picture as JPEG, PNG, WebP, GIF, AVIF or BMP.",
        )
    if looks_like_html(data):
        raise ItemPermanent(
            ItemCode.NOT_AN_IMAGE,
            "The image URL serves a web page, not a picture. Use the address of the file itself.",
        )
    raise ItemPermanent(
        ItemCode.NOT_AN_IMAGE,
        "The file is not a picture. Send a JPEG, PNG, WebP, GIF, AVIF or BMP file.",
    )


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise _too_many_pixels(size, max_pixels)
    if max(size) > MAX_EDGE:
        raise ItemPermanent(
            ItemCode.IMAGE_TOO_MANY_PIXELS,
            f"The picture has {size[0]:,} × {size[1]:,} pixels; at most {MAX_EDGE:,} are accepted "
            "on the longer edge. Send a smaller version; about 1,000 are plenty.",
        )


def _checked_cost(image: Image.Image, full: tuple[int, int], held: int, most: int) -> int:
    """Bytes that decoding and resizing take at their peak, `held` of them by its decoder all the
    time; raises ItemPermanent where they are more than `most`.

    That hits large WebP files alone: their decoder holds the picture four times.
    """
    per_pixel = _WEBP_BYTES_PER_PIXEL if image.format == OpenedFormat.WEBP else _BYTES_PER_PIXEL
    if _may_be_animated(image):
        per_pixel = _FRAMES_BYTES_PER_PIXEL
    pixels = image.width * image.height
    cost = pixels * per_pixel + held
    resizing = pixels * _DECODED_BYTES_PER_PIXEL + max(image.size) * _RESIZING_BYTES_PER_EDGE
    cost = max(cost, resizing)
    if cost > most:
        raise _too_many_pixels(full, most // per_pixel)
    return cost


def _too_many_pixels(size: tuple[int, int] | None, max_pixels: int) -> ItemPermanent:
    measured = f"{size[0]:,} × {size[1]:,} pixels" if size else "far more pixels"
    return ItemPermanent(
        ItemCode.IMAGE_TOO_MANY_PIXELS,
        f"The picture has {measured}; at most {max_pixels:,} pixels in all are accepted. "
        "Send a smaller version; about 1,000 pixels on the long edge are plenty.",
    )


def _first_frame(image: ImageFile.ImageFile, to_srgb: Conversion | None) -> Image.Image:
    rawmode = _rawmode(image)
    frame_box = image.tile[0][1] if image.format == OpenedFormat.GIF and image.tile else None
    image.load()
    picture = flattened(image, rawmode, to_srgb)
    if frame_box is not None and frame_box != (0, 0, *picture.size):
        # Around a first frame that doesn't fill its canvas there is nothing, not colour 0.
        framed = Image.new("RGB", picture.size, "white")
        framed.paste(picture.crop(frame_box), frame_box)
        picture = framed
    return picture


def _may_be_animated(image: Image.Image) -> bool:
    """Whether it may have frames that are small enough to look for one that shows something."""
    if image.width * image.height > _FRAMES_PIXELS:
        return False
    # A GIF's frames would have to be counted.
    return image.format == OpenedFormat.GIF or getattr(image, "n_frames", 1) > 1


def _later_frame(
    image: ImageFile.ImageFile, first: Image.Image, to_srgb: Conversion | None
) -> Image.Image:
    """The first frame behind the first that shows something; the first where none of them does."""
    first = first.copy()
    frames = min(MAX_FRAMES, _ALL_FRAMES_PIXELS // (image.width * image.height))
    for number in range(1, frames):
        try:
            image.seek(number)
            if image.size != first.size:  # Only so much was admitted.
                break
            image.load()
            picture = flattened(image, "", to_srgb)
        except VitrineError:
            raise
        except Exception:  # No further frame, or one that is damaged: nobody needs it.
            break
        if not shows_nothing(picture):
            return picture
    return first


def _orientation(image: Image.Image) -> int:
    """As the decoder has it from the file's own boxes, told in EXIF's numbers."""
    with suppress(Exception):
        return int(image.getexif().get(ExifTag.Orientation, 1))
    return 1


def _rawmode(image: ImageFile.ImageFile) -> str:
    """How the decoder will unpack the samples, as far as the file's plugin says."""
    if not image.tile:
        return ""
    args = image.tile[0][3]
    return args if isinstance(args, str) else ""
