"""The cost of decoding a picture, and its bounds: pixels, and bytes of memory."""

from typing import Final

from PIL import Image

from shared.embedding.decoding.faults import too_long, too_many_pixels
from shared.embedding.decoding.files.parts import FileParts
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.frames import frames_looked_at

MAX_EDGE: Final = 65_535
"""Pixels of the longer edge: as much as a JPEG may have."""

LEAST_DECODING_BYTES: Final = 500_000_000

URGENT_DECODING_BYTES: Final = 50_000_000
"""Of these, for urgent pictures: usual photos as JPEG take 2 MB, five megapixels of PNG all."""

# Peak memory of decoding, bytes per pixel, a little above what pictures of 50 million pixels took
# (9.3, WebP 17): the decoder's own buffers, the samples as decoded (4 bytes for a colour of three),
# and one copy in another mode or another orientation.
_BYTES_PER_PIXEL: Final = 10
_WEBP_BYTES_PER_PIXEL: Final = 20
_AVIF_BYTES_PER_PIXEL: Final = {"RGB": 8.5, "RGBA": 13}
"""Beside the decoder's own frames; these take 1.5 bytes a pixel in usual photos."""
_AVIF_COPY_BYTES_PER_PIXEL: Final = 6
"""Of frames that are put together from tiles, or scaled to the size that the file claims."""
_DECODED_BYTES_PER_PIXEL: Final = 4
_RESIZING_BYTES_PER_EDGE: Final = 4 * 512
"""Resizing to a model's input, which is up to 512 pixels wide, holds so much for each row."""
_MOVING_BYTES_PER_PIXEL: Final = 25
"""Of an animation: this frame, the one before, and the canvas that it leaves behind."""


def decoding_bytes(max_pixels: int) -> int:
    """Memory that decoding must be given for pictures of up to `max_pixels`."""
    return max(LEAST_DECODING_BYTES, _BYTES_PER_PIXEL * max_pixels)


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raises `ItemPermanent` with `image_too_many_pixels` for a picture that is too large."""
    if size[0] * size[1] > max_pixels:
        raise too_many_pixels(size, max_pixels)
    if max(size) > MAX_EDGE:
        raise too_long(size, MAX_EDGE)


def checked_cost(
    image: Image.Image, file: FileParts, full: tuple[int, int], held: int, most: int
) -> int:
    """Bytes that decoding and resizing take at their peak, `held` of them by its decoder all the
    time. `full` is the picture's size before any coarse scaling.

    Raises `ItemPermanent` with `image_too_many_pixels` if the bytes are more than `most`. That hits
    large WebP files, because their decoder holds the picture four times, and large AVIF files with
    more or deeper frames than a usual photo's.
    """
    frames = frames_looked_at(image)
    pixels = image.width * image.height
    per_pixel: float = _BYTES_PER_PIXEL
    if image.format == OpenedFormat.WEBP:
        per_pixel = _WEBP_BYTES_PER_PIXEL
    elif image.format == OpenedFormat.AVIF:
        per_pixel = _AVIF_BYTES_PER_PIXEL[image.mode]
        held = sum(file.frame_bytes[:frames])
        if held > most // 2:  # It would take seconds, too.
            raise too_many_pixels(None, most // 20)
        if file.frame_pixels != pixels:
            held += pixels * _AVIF_COPY_BYTES_PER_PIXEL
    if frames > 1:
        per_pixel = _MOVING_BYTES_PER_PIXEL
    cost = int(pixels * per_pixel) + held
    resizing = pixels * _DECODED_BYTES_PER_PIXEL + max(image.size) * _RESIZING_BYTES_PER_EDGE
    cost = max(cost, resizing)
    if cost > most:
        raise too_many_pixels(full, most * pixels // cost)
    return cost
