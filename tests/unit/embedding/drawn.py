"""Pictures for the tests, made on the spot."""

import io
from typing import Any

import numpy as np
from PIL import Image


def scene(width: int = 160, height: int = 120) -> Image.Image:
    """A smooth RGB picture, different in every corner, so that a wrong turn is seen."""
    x = np.linspace(0, 1, width)[None, :]
    y = np.linspace(0, 1, height)[:, None]
    channels = (
        255 * x * np.ones_like(y),
        255 * y * np.ones_like(x),
        127 + 127 * np.sin(6 * x + 3 * y),
    )
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def noisy(width: int, height: int, seed: int = 0) -> Image.Image:
    """A textured RGB picture: a scene with noise of several scales."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (9, 12, 3), dtype=np.uint8))
    fine = Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8))
    return Image.blend(coarse.resize((width, height), Image.Resampling.BICUBIC), fine, 0.15)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The file's bytes."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two RGB pictures, in grey levels of 255."""
    assert one.size == other.size
    assert one.mode == other.mode == "RGB"
    return float(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).mean())
