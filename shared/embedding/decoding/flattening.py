"""A decoded picture as RGB: transparency on white, or on grey if white would hide a shape."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from PIL import Image

from shared.embedding.decoding.colours import Conversion

NOTHING_SHOWN: Final = 16
"""Grey levels of 255 by which a picture's pixels may differ and still show nothing. JPEG's rounding
makes fewer of one colour."""

_GREY_GROUND: Final = (128, 128, 128)
_SHAPE: Final = 32
"""Levels of opacity, of 255, by which a shape differs from its surroundings."""

_SIXTEEN_BIT_COLOUR: Final = "RGB;16B"  # Pillow's name for how such a PNG is unpacked

_BAND_PIXELS: Final = 1_000_000

_CONVERTED_PIXELS: Final = 12_500_000
"""Larger pictures are halved before their colours are converted, because that takes 30 ns a pixel:
most of the cost of a large PNG."""


def shows_nothing(picture: Image.Image) -> bool:
    """Whether an RGB picture is of one colour all over, but for the noise of its compression."""
    # Nearly every picture shows something at a look at two or three places.
    pixels: Any = picture.load()
    width, height = picture.size
    first = pixels[width // 2, height // 2]
    for row in range(1, 8, 2):
        for column in range(1, 8, 2):
            here = pixels[width * column // 8, height * row // 8]
            if any(
                abs(one - other) > NOTHING_SHOWN for one, other in zip(first, here, strict=True)
            ):
                return False
    # In bands, because Pillow copies a channel to look for its extremes.
    found = np.array([picture.crop(box).getextrema() for box in bands(picture.size)])
    spread = found[..., 1].max(axis=0) - found[..., 0].min(axis=0)
    return bool(spread.max() <= NOTHING_SHOWN)


def flattened(image: Image.Image, rawmode: str, conversion: Conversion | None) -> Image.Image:
    """A loaded image as RGB, its colours as sRGB. Transparent parts become white, whatever colour
    they hide, or grey if white would leave nothing to be seen, as of a white garment.

    `rawmode`: the form of the file's samples, by Pillow's name. A picture of more than 12.5 million
    pixels is halved before its colours are converted.
    """
    if image.mode.startswith("I"):
        image, transparent = _from_sixteen_bit_grey(image)
        if transparent is not None:
            halves = _halved(image, conversion), _halved(transparent, conversion)
            return _on_ground(*halves, conversion)
    if not image.has_transparency_data:
        return _opaque(_halved(image, conversion), conversion)
    if rawmode == _SIXTEEN_BIT_COLOUR and "transparency" in image.info:
        # Pillow keeps the high byte of each sample, but all 16 bits of the transparent colour.
        image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
    return _on_ground(_halved(image, conversion), None, conversion)


def _halved(image: Image.Image, conversion: Conversion | None) -> Image.Image:
    """A large picture at half of its size if its colours will be converted; others as they are."""
    if (
        conversion is None
        or not _fits(image, conversion)
        or image.width * image.height <= _CONVERTED_PIXELS
    ):
        return image
    mode = {"1": "L", "P": "RGB"}.get(image.mode, image.mode)
    if image.has_transparency_data:
        mode = {"L": "LA", "RGB": "RGBA"}.get(mode, mode)
    half = Image.new(mode, ((image.width + 1) // 2, (image.height + 1) // 2))
    for box in bands(image.size):
        half.paste(image.crop(box).convert(mode).reduce(2), (0, box[1] // 2))
    return half


def _opaque(image: Image.Image, conversion: Conversion | None) -> Image.Image:
    if conversion is None or not _fits(image, conversion):
        # Converting RGB to RGB would be one more copy: 200 MB of the largest pictures.
        return image if image.mode == "RGB" else image.convert("RGB")
    if image.mode == "RGB":
        converted = image
        for box in bands(image.size):
            converted.paste(conversion(image.crop(box)), box)
        return converted
    turned = Image.new("RGB", image.size)
    for box in bands(image.size):
        turned.paste(conversion(image.crop(box).convert(conversion.mode)), box)
    return turned


def _fits(image: Image.Image, conversion: Conversion) -> bool:
    """Whether a profile is for such a picture. A profile for inks or for grey says nothing of RGB;
    a profile for RGB says all of grey.
    """
    if "CMYK" in (image.mode, conversion.mode):
        return image.mode == conversion.mode
    return conversion.mode == "RGB" or image.mode in {"1", "L", "LA"}


def _on_ground(
    image: Image.Image, transparent: Image.Image | None, conversion: Conversion | None
) -> Image.Image:
    """Flattened on white, or on grey if white would show nothing of a shape that is there.

    `transparent` is 255 in the transparent places, or None if the image tells them itself.
    """
    flat = Image.new("RGB", image.size, "white")
    lowest, highest = 255, 0
    for box in bands(image.size):
        band, alpha = _band(image, transparent, conversion, box)
        flat.paste(band, box, mask=alpha)
        found = np.array(alpha.getextrema())
        lowest, highest = min(lowest, found[0]), max(highest, found[1])
    if highest - lowest < _SHAPE or not shows_nothing(flat):
        return flat
    for box in bands(image.size):
        band, alpha = _band(image, transparent, conversion, box)
        flat.paste(_GREY_GROUND, box)
        flat.paste(band, box, mask=alpha)
    return flat


def _band(
    image: Image.Image,
    transparent: Image.Image | None,
    conversion: Conversion | None,
    box: tuple[int, int, int, int],
) -> tuple[Image.Image, Image.Image]:
    """A part of the image as RGB, and its opacity."""
    band = image.crop(box)
    fits = conversion is not None and _fits(image, conversion)
    rgba = band.convert("RGBA")
    alpha = rgba.getchannel("A")
    if transparent is not None:
        alpha = transparent.crop(box).point(lambda value: 255 - value)
    if conversion is not None and fits:
        source = band.convert("L") if conversion.mode == "L" else rgba.convert("RGB")
        return conversion(source), alpha
    return rgba, alpha


def _from_sixteen_bit_grey(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """16-bit grey scaled to 8 bits, and its transparent places. Pillow's own conversion clips:
    every value above 255 turns white.
    """
    flat = Image.new("L", image.size)
    key = image.info.get("transparency")
    transparent = Image.new("L", image.size) if isinstance(key, int) else None
    for box in bands(image.size):
        samples = np.asarray(image.crop(box))
        grey = (np.clip(samples, 0, 65_535) >> 8).astype(np.uint8)
        flat.paste(Image.fromarray(grey), box)
        if transparent is not None:
            transparent.paste(Image.fromarray((samples == key).astype(np.uint8) * 255), box)
    return flat, transparent


def bands(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of the picture's bands, each of a million pixels, so that no copy is held in full. Each
    begins in an even row.
    """
    width, height = size
    rows = max(2, _BAND_PIXELS // width & ~1)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)
