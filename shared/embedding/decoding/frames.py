"""The frame of an opened picture that is seen: the first one that shows something."""

from typing import Final

from PIL import Image, ImageFile

from shared.embedding.decoding.colours import Conversion
from shared.embedding.decoding.flattening import flattened, shows_nothing
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.structure import MAX_FRAMES
from shared.errors import VitrineError

_FRAME_PIXELS: Final = 2_000_000
"""Pixels of the largest animation that is searched for a frame that shows something."""
_ALL_FRAMES_PIXELS: Final = 40_000_000
"""The most pixels of all frames that are looked at: a second or two of work. No clock decides
on that, because a busy machine would give the same picture another vector."""


def frames_looked_at(image: Image.Image) -> int:
    """How many frames may be decoded; 1 for a picture that is no animation, or a large one."""
    pixels = image.width * image.height
    # A GIF's frames would have to be counted.
    moving = image.format == OpenedFormat.GIF or getattr(image, "n_frames", 1) > 1
    if not moving or pixels > _FRAME_PIXELS:
        return 1
    return min(MAX_FRAMES, _ALL_FRAMES_PIXELS // pixels)


def shown_frame(image: ImageFile.ImageFile, to_srgb: Conversion | None) -> Image.Image:
    """The first frame as RGB or, if that shows nothing, the first one behind it that does.

    Raises any error of Pillow's decoders for a broken first frame.
    """
    picture = _first(image, to_srgb)
    frames = frames_looked_at(image)
    if frames > 1 and shows_nothing(picture):
        return _later(image, picture, to_srgb, frames)
    return picture


def _first(image: ImageFile.ImageFile, to_srgb: Conversion | None) -> Image.Image:
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


def _later(
    image: ImageFile.ImageFile, first: Image.Image, to_srgb: Conversion | None, frames: int
) -> Image.Image:
    """The first frame behind the first that shows something; the first if none of them does."""
    first = first.copy()
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


def _rawmode(image: ImageFile.ImageFile) -> str:
    """How the decoder will unpack the samples, as far as the file's plugin says."""
    if not image.tile:
        return ""
    args = image.tile[0][3]
    return args if isinstance(args, str) else ""
