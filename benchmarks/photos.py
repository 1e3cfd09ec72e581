"""Pictures that cost as much as a shop's photos: in bytes, in decoding and in resizing."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_SIZE: Final = (800, 1000)
_SHAPES: Final = 40
_GRAIN: Final = 5.0
"""Standard deviation of the noise: with it, files of this quality have 100 to 150 kB."""
_QUALITY: Final = 85
_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def drawn_photos(count: int) -> Sequence[bytes]:
    """JPEG files of 800 × 1,000 pixels, always the same ones."""
    return [_photo(np.random.default_rng(number)) for number in range(count)]


def photos_of(folder: Path, count: int) -> Sequence[bytes]:
    """Up to `count` picture files of a folder and those below, in the order of their names.

    Raises SystemExit if there is none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    if not files:
        raise SystemExit(f"no pictures ({', '.join(sorted(_ENDINGS))}) in {folder}")
    return [path.read_bytes() for path in files[:count]]


def _photo(rng: np.random.Generator) -> bytes:
    """Soft light, things with edges, and the grain of a sensor."""
    width, height = _SIZE
    light = Image.fromarray(rng.integers(90, 230, (5, 4, 3), dtype=np.uint8))
    picture = light.resize(_SIZE, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(_SHAPES):
        x, y = rng.integers(0, width), rng.integers(0, height)
        across, down = rng.integers(20, 300, 2)
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((int(x), int(y), int(x + across), int(y + down)), fill=colour)
    picture = picture.filter(ImageFilter.GaussianBlur(1))
    grain = rng.normal(0, _GRAIN, (height, width, 1)).astype(np.float32)
    grainy = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grainy).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
