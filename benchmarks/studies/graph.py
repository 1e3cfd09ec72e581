"""The recall that a graph over the vectors costs, with Qdrant's own engine outside any server.

`python -m benchmarks.studies.graph --points 10000` draws vectors (see `drawn_vectors`), has the
engine build the graph that a Qdrant server builds (m 16, ef_construct 100, all in one segment,
which is the hardest case), once without and once with int8 quantization, and searches it under the
filter that every search has. Printed are recall@10 against the engine's exact search and how many
times as long as it the search takes. The embedded server has no graph: this is for the settings
QDRANT_HNSW_EF and QDRANT_OVERSAMPLING of a real one. `python -m operations recall` measures the
real one itself.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import qdrant_edge as edge

from benchmarks.drawn_vectors import DIMENSIONS, DrawnCatalogue
from shared.qdrant.recall import Vectors
from shared.qdrant.vectors import IMAGE

TOP: Final = 10
_HNSW_EFS: Final = (64, 128, 256, 512, 1024)
_OVERSAMPLINGS: Final = (1.0, 2.0, 3.0)
_AT_ONCE: Final = 256
_TENANT: Final = edge.Filter(must=[edge.FieldCondition("tenant", match=edge.MatchValue("default"))])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.graph")
    parser.add_argument("--points", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument("--searches", type=int, default=200, help="of each kind (%(default)s)")
    options = parser.parse_args()
    drawn = DrawnCatalogue()
    products = drawn.products(options.points)
    searches = {
        "pictures": drawn.pictures(options.searches),
        "words": drawn.words(options.searches),
    }
    for quantized in (False, True):
        with tempfile.TemporaryDirectory(prefix="vitrine-graph-") as folder:
            shard = _filled(Path(folder), products, quantized)
            began = time.perf_counter()
            shard.optimize()
            held = shard.info()
            print(
                f"{'int8' if quantized else 'float32'}: graph over {held.indexed_vectors_count} of "
                f"{held.points_count} points in {time.perf_counter() - began:.1f} s"
            )
            for kind, vectors in searches.items():
                _compare(shard, kind, vectors, quantized)
            shard.close()


def _filled(folder: Path, products: Vectors, quantized: bool) -> Any:
    int8 = edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99, always_ram=True)
    config = edge.EdgeConfig(
        vectors={IMAGE: edge.EdgeVectorParams(DIMENSIONS, edge.Distance.Cosine)},
        hnsw_config=edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000),
        quantization_config=int8 if quantized else None,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=1_000, default_segment_number=1),
    )
    shard = edge.EdgeShard.create(str(folder), config)
    index = edge.KeywordIndexParams(is_tenant=True)
    shard.update(edge.UpdateOperation.create_field_index("tenant", index))
    for start in range(0, len(products), _AT_ONCE):
        points = [
            edge.Point(start + at, {IMAGE: vector.tolist()}, {"tenant": "default"})
            for at, vector in enumerate(products[start : start + _AT_ONCE])
        ]
        shard.update(edge.UpdateOperation.upsert_points(points))
    return shard


def _compare(shard: Any, kind: str, vectors: Vectors, quantized: bool) -> None:
    unquantized = edge.QuantizationSearchParams(ignore=True)
    exact, exact_seconds = _found(
        shard, vectors, edge.SearchParams(exact=True, quantization=unquantized)
    )
    print(f"  {kind}: exact search {1000 * exact_seconds:.2f} ms")
    for hnsw_ef in _HNSW_EFS:
        for oversampling in _OVERSAMPLINGS if quantized else (None,):
            rescored = edge.QuantizationSearchParams(rescore=True, oversampling=oversampling)
            found, seconds = _found(
                shard,
                vectors,
                edge.SearchParams(hnsw_ef=hnsw_ef, quantization=rescored if quantized else None),
            )
            named = f", oversampling {oversampling}" if quantized else ""
            print(
                f"    hnsw_ef {hnsw_ef:4}{named}: recall@{TOP} {recall(found, exact):.4f}, "
                f"{seconds / exact_seconds:.2f} times exact search's time"
            )


def _found(
    shard: Any, vectors: Vectors, params: edge.SearchParams
) -> tuple[Sequence[Sequence[int]], float]:
    """What each search finds, and the median of their seconds."""
    found, took = [], []
    for vector in vectors:
        request = edge.QueryRequest(
            limit=TOP,
            query=edge.Query.Nearest(vector.tolist(), using=IMAGE),
            filter=_TENANT,
            params=params,
        )
        began = time.perf_counter()
        points = shard.query(request)
        took.append(time.perf_counter() - began)
        found.append([point.id for point in points])
    return found, statistics.median(took)


def recall(found: Sequence[Sequence[Any]], exact: Sequence[Sequence[Any]]) -> float:
    """The share of what exact search finds that was found, over all searches."""
    hits = sum(len(set(some) & set(all_)) for some, all_ in zip(found, exact, strict=True))
    return hits / sum(map(len, exact))


if __name__ == "__main__":
    main()
