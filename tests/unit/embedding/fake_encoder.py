"""An encoder without a model: fast, exact to predict, and able to misbehave."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.embedding.encoder import Encoder, PreparedImage, PreparedText, Tower

DIMENSIONS = 4
BREAKS, NAN, ZERO = 250, 251, 252  # Red levels of pictures that the model fails on


class FakeEncoder(Encoder):
    """A picture's vector follows its red level, a text's its length."""

    def __init__(self, towers: frozenset[Tower] = frozenset({"image", "text"})) -> None:
        self._towers = set(towers)
        self.image_batches: list[int] = []
        self.text_batches: list[int] = []
        self.broken = False

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    @property
    def image_edge(self) -> int:
        return 8

    @property
    def towers(self) -> frozenset[Tower]:
        return frozenset(self._towers)

    def open_tower(self, tower: Tower) -> None:
        self._towers.add(tower)

    def pre_image(self, picture: Image.Image) -> PreparedImage:
        if picture.width == 13:
            raise ValueError("an unlucky width")
        pixels = np.asarray(picture.resize((8, 8)), dtype=np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def pre_text(self, text: str) -> PreparedText:
        return np.arange(len(text), dtype=np.int64)

    def core_images(self, batch: Sequence[PreparedImage]) -> NDArray[np.float32]:
        self.image_batches.append(len(batch))
        reds = [int(pixels[0, 0, 0]) for pixels in batch]
        if self.broken or BREAKS in reds:
            raise RuntimeError("the device said no")
        return np.stack([self._vector(red) for red in reds])

    def core_texts(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        self.text_batches.append(len(batch))
        return np.stack([self._vector(len(ids)) for ids in batch])

    @staticmethod
    def _vector(level: int) -> NDArray[np.float32]:
        first = {NAN: np.nan, ZERO: 0.0}.get(level, 1.0)
        rest = 0.0 if level in (NAN, ZERO) else float(level)
        return np.array([first, rest, 0, 0], dtype=np.float32)
