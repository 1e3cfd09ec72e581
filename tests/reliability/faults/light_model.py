"""A model of a few lines in the place of the demo model: a process that is started again and again
would spend 4 s of processor time on importing PyTorch.

The demo model is what e2e, demo and hangs are tested with.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.embedding.encoder import PreparedImage, Tower
from shared.embedding.service import EmbeddingService
from shared.settings import Settings
from tests.unit.embedding.fake_encoder import FakeEncoder


class LightEncoder(FakeEncoder):
    """A picture's vector is its mean colour; none breaks it."""

    def core_images(self, batch: Sequence[PreparedImage]) -> NDArray[np.float32]:
        return np.stack([np.append(pixels.mean(axis=(1, 2)), 255) for pixels in batch])


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
