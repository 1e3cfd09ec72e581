"""How many products a write to the embedded Qdrant should carry.

`python -m benchmarks.studies.write_batches` writes new products, then newer revs of them, 64, 128
and 256 at a time, in turns, each write read back as workers do. Printed are medians of the rounds:
products per second, and how long one write takes; a search that comes at its beginning waits for
most of that, because the engine does one thing at a time.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.drawn_vectors import DIMENSIONS, DrawnCatalogue
from benchmarks.qdrant_server import fresh_qdrant, products
from shared.qdrant.recall import Vectors
from shared.qdrant.service import QdrantService

_SIZES: Final = (64, 128, 256)
_KINDS: Final = ("new", "replaced")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.write_batches")
    parser.add_argument("--products", type=int, default=2048, help="a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    options = parser.parse_args()
    drawn = DrawnCatalogue()
    took: Mapping[tuple[str, int], list[float]] = {
        (kind, size): [] for kind in _KINDS for size in _SIZES
    }
    with fresh_qdrant() as server:
        service = QdrantService(
            server["qdrant_url"],
            "products-write-batches",
            dimensions=DIMENSIONS,
            api_key=server["qdrant_api_key"],
            write_timeout=60,
        )
        service.ensure_collection(["color", "size"])
        held = 0
        for _ in range(options.rounds):
            for size in _SIZES:
                vectors = drawn.products(options.products)
                for rev, kind in enumerate(_KINDS, 1):
                    took[kind, size] += _seconds(service, vectors, held, rev, size)
                held += options.products
        service.close()
    for (kind, size), seconds in took.items():
        median = statistics.median(seconds)
        slowest = statistics.quantiles(seconds, n=20)[-1]
        print(
            f"{kind:8} {size:3} a write: {size / median:7.0f} products/s, "
            f"{1000 * median:6.1f} ms a write (p95 {1000 * slowest:.1f})"
        )


def _seconds(
    service: QdrantService, vectors: Vectors, first: int, rev: int, size: int
) -> Sequence[float]:
    """Of each write."""
    took = []
    for start in range(0, len(vectors), size):
        writes = products(vectors[start : start + size], first + start, rev)
        began = time.perf_counter()
        service.upsert_products(writes)
        took.append(time.perf_counter() - began)
    return took


if __name__ == "__main__":
    main()
