"""The interface of a model backend: three steps, so that the middle one runs alone on its device.

1. *pre*, in the caller's thread: a picture or text becomes the model's input (numpy).
2. *core*, in the batcher's thread: inputs of one kind become raw vectors.
3. *post*: raw vectors become unit vectors, or a fault if the model produced nonsense.

Nothing here imports a model library; another backend is another subclass of `Encoder`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.embedding.decoding.pictures import DRAFT_EDGE
from shared.errors import ItemCode, ItemPermanent

Tower = Literal["image", "text"]

PreparedImage = NDArray[np.float32]
"""One picture as the model wants it: float32, shape (3, height, width), normalised."""

PreparedText = NDArray[np.int64]
"""One text's token ids: int64, shape (length,); lengths may differ within a batch."""

Vector = NDArray[np.float32]
"""One embedding: float32, shape (dimensions,), of length 1."""

_SMALLEST_NORM = 1e-6  # CLIP's raw vectors have norms around 10; a vanishing one has no direction.


class Encoder(ABC):
    """A model with towers that turn pictures and texts into vectors of one space.

    `pre_*` and `open_tower` may be called from any thread; each tower's `core_*` from one thread
    at a time.
    """

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Length of every vector."""

    @property
    @abstractmethod
    def image_edge(self) -> int:
        """Longer edge of the image tower's input, in pixels."""

    @property
    def draft_edge(self) -> int:
        """The shorter edge, in pixels, that large JPEGs are decoded to at least."""
        return max(DRAFT_EDGE, 2 * self.image_edge)

    @property
    @abstractmethod
    def towers(self) -> frozenset[Tower]:
        """The towers in memory now."""

    @abstractmethod
    def open_tower(self, tower: Tower) -> None:
        """Make sure that a tower is in memory; this may take seconds. Raises ModelUnavailable."""

    @abstractmethod
    def pre_image(self, picture: Image.Image) -> PreparedImage:
        """An upright RGB picture of any size as the image tower's input."""

    @abstractmethod
    def pre_text(self, text: str) -> PreparedText:
        """A text as token ids; what exceeds the model's context is cut off."""

    @abstractmethod
    def core_images(self, batch: Sequence[PreparedImage]) -> NDArray[np.float32]:
        """Raw image vectors, shape (len(batch), dimensions). Raises whatever the model raises."""

    @abstractmethod
    def core_texts(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        """Raw text vectors, shape (len(batch), dimensions). Raises whatever the model raises."""


def post(raw: NDArray[np.float32]) -> list[Vector | ItemPermanent]:
    """L2-normalise raw vectors of shape (n, dimensions), each on its own.

    A vector that isn't finite or has no length becomes ItemPermanent(`embedding_failed`).
    """
    norms = np.linalg.norm(raw.astype(np.float64), axis=1)
    return [
        (row / norm).astype(np.float32)
        if np.isfinite(norm) and norm > _SMALLEST_NORM
        else ItemPermanent(ItemCode.EMBEDDING_FAILED, "The model found no embedding for it.")
        for row, norm in zip(raw, norms, strict=True)
    ]
