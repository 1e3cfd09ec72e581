"""Item faults of pictures that can't be decoded, in words of ours.

A library's words may hold addresses and paths, and help no shop.
"""

from PIL import Image

from shared.embedding.decoding.formats import OpenedFormat, looks_like_html, unsupported_format
from shared.errors import ItemCode, ItemPermanent, ItemTransient, VitrineError

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""Pillow's error beyond its own bound of 179 million pixels."""


def corrupt(kind: OpenedFormat) -> ItemPermanent:
    """Pixels of the file can't be read."""
    return ItemPermanent(
        ItemCode.IMAGE_CORRUPT,
        f"The {kind} file is damaged or incomplete: not all of its pixels can be read. "
        "Export the picture again and upload it anew.",
    )


def not_opened(form: str) -> ItemPermanent:
    """The file is of a form that its decoder doesn't know."""
    return ItemPermanent(
        ItemCode.IMAGE_UNSUPPORTED_FORMAT,
        f"The file is {form}, which is not opened. "
        "Save it as a usual JPEG or PNG and upload it anew.",
    )


def too_many_parts(parts: str, kind: OpenedFormat) -> ItemPermanent:
    """The file is divided into far too many `parts`."""
    return ItemPermanent(
        ItemCode.IMAGE_CORRUPT,
        f"The {kind} file is made of far more {parts} than any picture needs. "
        "Export the picture again and upload it anew.",
    )


def too_many_pixels(size: tuple[int, int] | None, max_pixels: int) -> ItemPermanent:
    """The picture has more than `max_pixels`; `size` is None if they aren't known."""
    measured = f"{size[0]:,} × {size[1]:,} pixels" if size else "far more pixels"
    return ItemPermanent(
        ItemCode.IMAGE_TOO_MANY_PIXELS,
        f"The picture has {measured}; at most {max_pixels:,} pixels in all are accepted. "
        "Send a smaller version; about 1,000 pixels on the long edge are plenty.",
    )


def too_long(size: tuple[int, int], most: int) -> ItemPermanent:
    """The picture's longer edge has more than `most` pixels."""
    return ItemPermanent(
        ItemCode.IMAGE_TOO_MANY_PIXELS,
        f"The picture has {size[0]:,} × {size[1]:,} pixels; at most {most:,} are accepted "
        "on the longer edge. Send a smaller version; about 1,000 are plenty.",
    )


def no_picture(data: bytes) -> ItemPermanent:
    """Bytes that are of no format that is opened."""
    if not data:
        return ItemPermanent(
            ItemCode.NOT_AN_IMAGE, "The file is empty. Check what the image URL serves."
        )
    other = unsupported_format(data)
    if other is not None:
        return ItemPermanent(
            ItemCode.IMAGE_UNSUPPORTED_FORMAT,
            f"The file is {other}, whatever its name says. "
            "Send the picture as JPEG, PNG, WebP, GIF, AVIF or BMP.",
        )
    if looks_like_html(data):
        return ItemPermanent(
            ItemCode.NOT_AN_IMAGE,
            "The image URL serves a web page, not a picture. Use the address of the file itself.",
        )
    return ItemPermanent(
        ItemCode.NOT_AN_IMAGE,
        "The file is not a picture. Send a JPEG, PNG, WebP, GIF, AVIF or BMP file.",
    )


def of_error(
    error: Exception, kind: OpenedFormat, form: str | None, max_pixels: int
) -> VitrineError:
    """The fault that an error of decoding means; one of ours stays itself.

    It carries neither traceback nor cause: through their frames they would hold pixels.
    """
    if isinstance(error, VitrineError):
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    if isinstance(error, MemoryError):
        return ItemTransient(
            ItemCode.INTERNAL_ERROR, "There was not enough memory to decode the picture."
        )
    if isinstance(error, BOMBS):
        return too_many_pixels(None, max_pixels)
    if kind is OpenedFormat.AVIF and "not implemented" in str(error).lower():
        form = "an AVIF of an unusual kind"
    return corrupt(kind) if form is None else not_opened(form)
