"""Decodes a product's picture: bytes of any opened format to an upright RGB image.

Pure: no network, no files, no model. The result is what a shopper's browser would show on a white
page: EXIF orientation applied, transparency on white, 16-bit and CMYK converted, the first frame
of an animation. An embedded ICC profile is ignored: CLIP was trained on pictures decoded without
one, and a broken profile then does no harm.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import numpy as np
from PIL import Image, ImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.Image import Transpose

from shared.embedding.picture_formats import (
    OpenedFormat,
    looks_like_html,
    opened_format,
    unsupported_format,
)
from shared.embedding.picture_structure import PictureFile, check_scans
from shared.errors import ItemCode, ItemPermanent, ItemTransient, VitrineError

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

_BAND_PIXELS: Final = 4_000_000

_SIXTEEN_BIT_COLOUR: Final = "RGB;16B"  # Pillow's name for how such a PNG is unpacked


LEAST_DECODING_BYTES: Final = 500_000_000

# Peak memory of decoding, bytes per pixel, a little above what pictures of 50 million pixels took
# (9.3, WebP 17): the decoder's own buffers, the samples as decoded (4 bytes for a colour of three),
# and one copy in another mode or another orientation.
_BYTES_PER_PIXEL: Final = 10
_WEBP_BYTES_PER_PIXEL: Final = 20
_PROGRESSIVE_BYTES_PER_PIXEL: Final = 6
"""The coefficients of a progressive JPEG, which are held in full whatever the draft."""


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

    Raises ItemPermanent with `not_an_image`, `image_unsupported_format`, `image_too_many_pixels`
    or `image_corrupt`, and ItemTransient where memory ran out. Nothing else escapes but what
    `admit` raises as an error of ours.
    """
    kind = _format_to_open(data)
    try:
        if kind is OpenedFormat.JPEG:
            check_scans(data)
        with Image.open(PictureFile(data, kind), formats=[kind]) as image:
            full = image.size
            _check_pixels(full, max_pixels)
            if draft_edge is not None:
                image.draft(None, (draft_edge, draft_edge))
            cost = _checked_cost(image, full, decoding_bytes(max_pixels))
            if admit is not None:
                admit(cost)
            return _on_white(image)
    except VitrineError:
        raise
    except MemoryError as err:
        raise ItemTransient(
            ItemCode.INTERNAL_ERROR, "There was not enough memory to decode the picture."
        ) from err
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise _too_many_pixels(None, max_pixels) from err
    except Exception as err:  # Pillow's decoders raise whatever a broken file makes them raise.
        raise ItemPermanent(
            ItemCode.IMAGE_CORRUPT,
            f"The {kind} file is damaged or incomplete ({_reason(err)}). "
            "Export the picture again and upload it anew.",
        ) from err


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


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise _too_many_pixels(size, max_pixels)


def _checked_cost(image: Image.Image, full: tuple[int, int], most: int) -> int:
    """Bytes that decoding takes at its peak; raises ItemPermanent where they are more than `most`.

    That hits large WebP files alone: their decoder holds the picture four times.
    """
    per_pixel = _WEBP_BYTES_PER_PIXEL if image.format == OpenedFormat.WEBP else _BYTES_PER_PIXEL
    cost = image.width * image.height * per_pixel
    if image.info.get("progressive"):
        cost += full[0] * full[1] * _PROGRESSIVE_BYTES_PER_PIXEL
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


def _on_white(image: ImageFile.ImageFile) -> Image.Image:
    """Decode an opened file and convert it: upright, RGB, transparency on white."""
    rawmode = _rawmode(image)
    frame_box = image.tile[0][1] if image.format == OpenedFormat.GIF and image.tile else None
    image.load()
    method = _UPRIGHT.get(_orientation(image))
    picture = _rgb(image, rawmode)
    if frame_box is not None and frame_box != (0, 0, *picture.size):
        # Around a first frame that doesn't fill its canvas there is nothing, not colour 0.
        framed = Image.new("RGB", picture.size, "white")
        framed.paste(picture.crop(frame_box), frame_box)
        picture = framed
    return picture.transpose(method) if method is not None else picture


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 … 8; a broken EXIF block counts as none."""
    with suppress(Exception):
        return int(image.getexif().get(ExifTag.Orientation, 1))
    return 1


def _rawmode(image: ImageFile.ImageFile) -> str:
    """How the decoder will unpack the samples, as far as the file's plugin says."""
    if not image.tile:
        return ""
    args = image.tile[0][3]
    return args if isinstance(args, str) else ""


def _rgb(image: Image.Image, rawmode: str) -> Image.Image:
    """A loaded image as RGB; transparent parts become white, whatever colour they hide."""
    if image.mode.startswith("I"):
        return _from_sixteen_bit_grey(image)
    if not image.has_transparency_data:
        # Converting RGB to RGB would be one more copy: 200 MB of the largest pictures.
        return image if image.mode == "RGB" else image.convert("RGB")
    if rawmode == _SIXTEEN_BIT_COLOUR:
        # Pillow keeps the high byte of each sample, but all 16 bits of the transparent colour.
        image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
    flat = Image.new("RGB", image.size, "white")
    for box in _bands(image.size):
        band = image.crop(box).convert("RGBA")
        flat.paste(band, box, mask=band.getchannel("A"))
    return flat


def _from_sixteen_bit_grey(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits. Pillow's own conversion clips: all above 255 turns white."""
    flat = Image.new("RGB", image.size)
    transparent = image.info.get("transparency")
    for box in _bands(image.size):
        samples = np.asarray(image.crop(box))
        grey = (np.clip(samples, 0, 65_535) >> 8).astype(np.uint8)
        if isinstance(transparent, int):
            grey[samples == transparent] = 255
        flat.paste(Image.fromarray(grey), box)
    return flat


def _bands(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """The picture in rows of a few million pixels: what is in between need not be held in full."""
    width, height = size
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def _reason(err: Exception) -> str:
    """Pillow's own words in one short line: they name the fault, and no path or address."""
    words = " ".join(str(err).split())
    return words[:120] if words else type(err).__name__
