"""How a real Qdrant server keeps and searches the vectors, as the settings say it.

The embedded server compares every vector whatever is said here, so its results are exact. A real
one builds a graph (HNSW) over larger segments and searches that; what it may miss of the ten
nearest is measured by `python -m benchmarks.recall`.
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
    """What the defaults are good for stands in docs/operations.md ("Qdrant for a large catalogue").

    `indexing_threshold`: kB of vectors in a segment from which on a graph is built; a vector has
    two. `hnsw_ef`: candidates that a search keeps on its way through the graph. `quantized`: the
    graph is searched by vectors of int8 in memory, `oversampling` times as many hits as asked for
    are taken from there, and their order is decided by the whole vectors, which stay on the disk.
    """

    indexing_threshold: int = 10_000
    hnsw_ef: int = 1024
    quantized: bool = False
    oversampling: float = 2.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(
            indexing_threshold=settings.qdrant_indexing_threshold,
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
        return models.OptimizersConfigDiff(indexing_threshold=self.indexing_threshold)

    @property
    def quantization(self) -> models.ScalarQuantization | None:
        """Of a collection; None where vectors are kept as they are."""
        if not self.quantized:
            return None
        # `always_ram` and not its successor `memory`, which servers before 1.19 don't know.
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(
                type=models.ScalarType.INT8, quantile=_QUANTILE, always_ram=True
            )
        )
