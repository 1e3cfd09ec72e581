"""How a real Qdrant server keeps and searches the vectors, as the settings say it.

The embedded server compares every vector whatever is said here, so its results are exact. A real
one builds a graph (HNSW) over larger segments and searches that; what it may miss of the ten
nearest is measured by `python -m operations recall`.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from qdrant_client import models

from shared.settings import Settings

EXACT: Final[dict[str, Any]] = {"exact": True, "quantization": {"ignore": True}}
"""Parameters of a search that compares every vector, with all its digits."""

_QUANTILE: Final = 0.99
"""A few outliers shall not take the 256 steps from all other numbers."""


@dataclass(frozen=True, slots=True)
class IndexTuning:
    """The defaults' reasons stand in docs/operations.md ("Qdrant for a large catalogue").

    `indexing_threshold`: kB of vectors in a segment from which on a graph is built; a vector has
    two. `deleted_threshold`: share of a segment's points that may be moved or deleted before it is
    built anew; every write of a payload moves its point. `indexing_threads`: cores that build; 0:
    the server decides. `hnsw_ef`: candidates that a search keeps on its way through the graph.
    `quantized`: the graph is searched by vectors of int8 in memory, `oversampling` times as many
    hits as asked for are taken from there, and their order is decided by the whole vectors, which
    stay on the disk.
    """

    indexing_threshold: int = 10_000
    deleted_threshold: float = 0.2
    indexing_threads: int = 0
    hnsw_ef: int = 1024
    quantized: bool = False
    oversampling: float = 2.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(
            indexing_threshold=settings.qdrant_indexing_threshold,
            deleted_threshold=settings.qdrant_deleted_threshold,
            indexing_threads=settings.qdrant_indexing_threads,
            hnsw_ef=settings.qdrant_hnsw_ef,
            quantized=settings.qdrant_quantization == "int8",
            oversampling=settings.qdrant_oversampling,
        )

    @property
    def search_params(self) -> dict[str, Any]:
        """Of each search, as plain JSON."""
        params: dict[str, Any] = {"hnsw_ef": self.hnsw_ef}
        if self.quantized:
            params["quantization"] = {"rescore": True, "oversampling": self.oversampling}
        return params

    @property
    def optimizers(self) -> models.OptimizersConfigDiff:
        """Of a collection."""
        return models.OptimizersConfigDiff(
            indexing_threshold=self.indexing_threshold,
            deleted_threshold=self.deleted_threshold,
            # One segment at a time, if only some cores may build.
            max_optimization_threads=1
            if self.indexing_threads
            else models.MaxOptimizationThreadsSetting.AUTO,
        )

    @property
    def graph(self) -> models.HnswConfigDiff:
        """Of a collection. It changes nothing of a graph that is there."""
        return models.HnswConfigDiff(max_indexing_threads=self.indexing_threads)

    @property
    def quantization(self) -> models.ScalarQuantization | None:
        """Of a collection; None if vectors are kept as they are."""
        if not self.quantized:
            return None
        # `always_ram` and not its successor `memory`, which servers before 1.19 don't know.
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(
                type=models.ScalarType.INT8, quantile=_QUANTILE, always_ram=True
            )
        )
