"""Builds the embedding service from the settings, in one place."""

from shared.embedding.backends import batch_size, load_encoder
from shared.embedding.encoder import Tower
from shared.embedding.service import EmbeddingService, PictureFetcher
from shared.settings import Settings
from shared.watchdog import Watchdog


def load_embedding_service(
    settings: Settings,
    towers: frozenset[Tower],
    fetch: PictureFetcher | None = None,
    threads: int | None = None,
    watchdog: Watchdog | None = None,
) -> EmbeddingService:
    """Load the configured model with the towers this process needs at once.

    Another tower is loaded when first used. `fetch` serves `embed_image_from_url`; `threads`
    bounds the threads of one forward pass (None: one per physical core). Raises ModelUnavailable
    within seconds if the weights can't be had or the backend can't run here.
    """
    encoder = load_encoder(settings, towers, threads)
    return EmbeddingService(
        encoder,
        batch_size=batch_size(
            settings.embed_batch_size,
            encoder,
            given="embed_batch_size" in settings.model_fields_set,
        ),
        max_pixels=settings.image_max_pixels,
        fetch=fetch,
        watchdog=watchdog,
    )
