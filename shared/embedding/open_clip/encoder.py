"""The common part of the backends: open_clip's preprocessing, tokens, and two towers that open.

How a tower gets into memory, and what runs it, is the backend's part.
"""

import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.embedding.encoder import Encoder, PreparedImage, PreparedText, Tower
from shared.embedding.open_clip.preprocess import ImagePreprocessor
from shared.embedding.open_clip.text import TextTokens

ImageRun = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Raw vectors (n, dimensions) of pictures (n, 3, height, width)."""


class OpenTextTower(Protocol):
    """A text tower in memory, on whatever backend."""

    tokens: TextTokens

    def encode(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        """Raw vectors of shape (len(batch), dimensions), as open_clip's encode_text gives them."""


class OpenClipEncoder(Encoder):
    """Keeps only the towers that were asked for.

    A backend implements `_open`, which sets `_image` or `_text`, and `_preprocess` and
    `_dimensions` with the first tower at the latest.
    """

    _preprocess: ImagePreprocessor
    _dimensions: int

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._image: ImageRun | None = None
        self._text: OpenTextTower | None = None

    @property
    def dimensions(self) -> int:
        """Numbers in every vector: the model decides (ViT-B-32: 512)."""
        return self._dimensions

    @property
    def image_edge(self) -> int:
        """Longer edge of the image tower's input in pixels; 224 for ViT-B-32."""
        return max(self._preprocess.input_size[1:])

    @property
    def towers(self) -> frozenset[Tower]:
        """The towers in memory now."""
        kept: dict[Tower, object] = {"image": self._image, "text": self._text}
        return frozenset(tower for tower, part in kept.items() if part is not None)

    def open_tower(self, tower: Tower) -> None:
        """Load a tower that was left out: the API does so when the first picture query comes.

        Callers that ask for it meanwhile wait; the other tower goes on.
        """
        if tower in self.towers:
            return
        with self._opening:
            if tower not in self.towers:
                self._open(tower)

    def pre_image(self, picture: Image.Image) -> PreparedImage:
        """open_clip's preprocessing: float32 of shape (3, height, width)."""
        return self._preprocess(picture)

    def pre_text(self, text: str) -> PreparedText:
        """Token ids of shape (length,)."""
        return self._text_tower().tokens(text)

    def core_images(self, batch: Sequence[PreparedImage]) -> NDArray[np.float32]:
        """Raw vectors of shape (len(batch), dimensions), as open_clip's encode_image gives them."""
        if self._image is None:
            raise RuntimeError("the image tower is not open")
        return self._image(np.stack(batch))

    def core_texts(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        """Raw vectors of shape (len(batch), dimensions)."""
        return self._text_tower().encode(batch)

    @abstractmethod
    def _open(self, tower: Tower) -> None:
        """Bring a tower into memory. Raises ModelUnavailable."""

    def _text_tower(self) -> OpenTextTower:
        if self._text is None:
            raise RuntimeError("the text tower is not open")
        return self._text
