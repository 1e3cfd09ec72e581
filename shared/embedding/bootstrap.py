"""Builds the embedding service from the settings, in one place."""

from shared.embedding.encoder import Tower
from shared.embedding.preprocess import ResizeMode
from shared.embedding.service import EmbeddingService, PictureFetcher
from shared.embedding.torch_backend import TorchEncoder
from shared.errors import ModelUnavailable
from shared.models.product import EMBEDDING_SIZE
from shared.settings import Settings


def load_embedding_service(
    settings: Settings,
    towers: frozenset[Tower],
    fetch: PictureFetcher | None = None,
    threads: int | None = None,
) -> EmbeddingService:
    """Load the configured model with the towers this process needs at once.

    Another tower is loaded when first used. `fetch` serves `embed_image_from_url`; `threads`
    bounds torch's threads in one forward pass (None: one per physical core). Raises
    ModelUnavailable within seconds where the weights can't be had.
    """
    encoder = TorchEncoder(
        settings.clip_model,
        settings.clip_pretrained,
        towers,
        device=settings.clip_device,
        resize_mode=_resize_override(settings),
        threads=threads,
    )
    if encoder.dimensions != EMBEDDING_SIZE:
        raise ModelUnavailable(
            f"CLIP_MODEL={settings.clip_model} gives vectors of {encoder.dimensions} numbers; the "
            f"index holds {EMBEDDING_SIZE}. Set CLIP_MODEL to a model of that width, such as "
            "ViT-B-32 or ViT-B-16."
        )
    return EmbeddingService(
        encoder,
        batch_size=settings.embed_batch_size,
        max_pixels=settings.image_max_pixels,
        fetch=fetch,
    )


def _resize_override(settings: Settings) -> ResizeMode | None:
    """The resize mode to force, or None for the model's own.

    `shortest`, the default, leaves the model its own: that is `shortest` for CLIP models, while
    SigLIP and the demo model were trained on squashed pictures.
    """
    return None if settings.clip_resize_mode == "shortest" else settings.clip_resize_mode
