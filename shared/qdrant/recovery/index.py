"""The vector index of a collection that exists: held back for a bulk load, or tuned anew."""

from dataclasses import dataclass
from typing import Final

from qdrant_client import QdrantClient, models

from shared.qdrant.connection import connect
from shared.qdrant.errors import translated
from shared.qdrant.tuning import IndexTuning
from shared.qdrant.vectors import IMAGE

_TIMEOUT_SECONDS: Final = 120.0
"""The server changes an index only once it has ended what it is building."""

_OFF: Final = 0
"""As a threshold: build no graph at all."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far the server is. `indexed` vectors are in a graph; the embedded server's never are."""

    points: int
    indexed: int
    settled: bool
    held_back: bool
    quantized: bool


class VectorIndex:
    """One collection's. Every method raises QdrantUnavailable and QdrantRejected."""

    def __init__(self, url: str, collection: str, *, api_key: str | None = None) -> None:
        self.collection = collection
        self._client: QdrantClient = connect(
            url, api_key=api_key, timeout=_TIMEOUT_SECONDS, max_connections=1
        )

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def hold_back(self) -> None:
        """Builds no graph until `tune`; what comes is compared vector by vector meanwhile."""
        with translated("hold the index back"):
            self._client.update_collection(
                self.collection,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=_OFF),
            )

    def tune(self, tuning: IndexTuning) -> None:
        """Has the server build, in the background, what is tuned so."""
        with translated("tune the index"):
            self._client.update_collection(
                self.collection,
                optimizers_config=tuning.optimizers,
                hnsw_config=tuning.graph,
                quantization_config=tuning.quantization or models.Disabled.DISABLED,
                vectors_config={IMAGE: models.VectorParamsDiff(on_disk=tuning.quantized)},
            )

    def state(self) -> IndexState:
        """As it stands now."""
        with translated("look at the index"):
            info = self._client.get_collection(self.collection)
        return IndexState(
            points=info.points_count or 0,
            indexed=info.indexed_vectors_count or 0,
            settled=info.status is models.CollectionStatus.GREEN,
            held_back=info.config.optimizer_config.indexing_threshold == _OFF,
            quantized=info.config.quantization_config is not None,
        )

    def remove(self) -> None:
        """Deletes the collection with all that is in it; nothing if there is none."""
        with translated("delete the collection"):
            self._client.delete_collection(self.collection)
