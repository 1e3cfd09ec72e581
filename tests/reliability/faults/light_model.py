"""A model of a few lines in the place of the demo model: a process that is started again and again
would spend 4 s of processor time on importing PyTorch.

The demo model is what e2e, demo and hangs are tested with.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.embedding.encoder import PreparedImage, PreparedText, Tower
from shared.embedding.service import EmbeddingService
from shared.settings import Settings
from tests.unit.embedding.fake_encoder import FakeEncoder

DIMENSIONS = 512
"""As of the demo model, which the settings name: workers without a model go by that."""


class LightEncoder(FakeEncoder):
    """A picture's vector is its mean colour, a text's its length; none breaks it."""

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    def core_images(self, batch: Sequence[PreparedImage]) -> NDArray[np.float32]:
        return _widened([np.append(pixels.mean(axis=(1, 2)), 255) for pixels in batch])

    def core_texts(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        return _widened(super().core_texts(batch))


def _widened(vectors: Any) -> NDArray[np.float32]:
    short = np.asarray(vectors, dtype=np.float32)
    return np.pad(short, ((0, 0), (0, DIMENSIONS - short.shape[1])))


def load_embedding_service(
    settings: Settings, towers: frozenset[Tower], **options: Any
) -> EmbeddingService:
    """As the product's own (`shared/embedding/bootstrap.py`)."""
    options.pop("threads", None)
    return EmbeddingService(
        LightEncoder(towers),
        batch_size=settings.embed_batch_size,
        max_pixels=settings.image_max_pixels,
        **options,
    )


def plant() -> None:
    """Whoever loads a model in this process gets this one; the real module imports PyTorch."""
    sys.modules["shared.embedding.bootstrap"] = sys.modules[__name__]
