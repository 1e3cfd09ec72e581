"""How many of the ten nearest the configured search finds of drawn vectors, at QDRANT_URL.

`python -m operations recall` measures the same on a shop's own products. Here vectors are drawn
(see `drawn_vectors`) into a collection of their own, which is removed afterwards. They go to
QDRANT_URL, or else to an embedded server, which compares every vector: its recall is 1. Below 0.98
the exit code is 1.
"""

import argparse
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.drawn_vectors import DIMENSIONS, DrawnCatalogue
from benchmarks.qdrant_server import TENANT, fresh_qdrant, products
from shared.qdrant.recall import LEAST, TOP, Recall, Vectors, measure, patient_service
from shared.qdrant.recovery.index import VectorIndex
from shared.qdrant.service import QdrantService
from shared.qdrant.tuning import IndexTuning
from shared.settings import Settings, read_settings

_AT_ONCE: Final = 256
_LOOK_SECONDS: Final = 2.0


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.recall")
    parser.add_argument("--points", type=int, default=100_000, help="drawn (%(default)s)")
    parser.add_argument("--searches", type=int, default=200, help="of each kind (%(default)s)")
    options = parser.parse_args()
    settings = read_settings()
    with ExitStack() as own:
        if "qdrant_url" not in settings.model_fields_set:
            settings = settings.model_copy(update=own.enter_context(fresh_qdrant()))
        found = _on_drawn(settings, options.points, options.searches)
    print(*found, sep="\n")
    if min(kind.share for kind in found) < LEAST:
        sys.exit(f"recall@{TOP} is below {LEAST}: raise QDRANT_HNSW_EF or QDRANT_OVERSAMPLING")


def _on_drawn(settings: Settings, count: int, searches: int) -> Sequence[Recall]:
    """The recall in a collection that is filled as a bulk load fills it."""
    service = patient_service(settings, f"recall-{uuid.uuid4().hex}", DIMENSIONS)
    index = VectorIndex(settings.qdrant_url, service.collection, api_key=settings.qdrant_api_key)
    drawn = DrawnCatalogue()
    service.ensure_collection([])
    try:
        index.hold_back()
        began = time.monotonic()
        _fill(service, drawn.products(count))
        print(f"{count} points written in {time.monotonic() - began:.1f} s, no graph meanwhile")
        index.tune(IndexTuning.of(settings))
        began = time.monotonic()
        _wait_until_settled(index)
        state = index.state()
        print(
            f"graph over {state.indexed} of {state.points} points in "
            f"{time.monotonic() - began:.1f} s{', int8' if state.quantized else ''}"
        )
        kinds = {"pictures": drawn.pictures(searches), "words": drawn.words(searches)}
        return measure(
            service,
            {kind: [(TENANT, one) for one in vectors] for kind, vectors in kinds.items()},
        )
    finally:
        index.remove()
        index.close()
        service.close()


def _fill(service: QdrantService, vectors: Vectors) -> None:
    for start in range(0, len(vectors), _AT_ONCE):
        service.upsert_products(products(vectors[start : start + _AT_ONCE], start))


def _wait_until_settled(index: VectorIndex) -> None:
    """Twice in a row: what was just written or tuned takes a moment to be noticed."""
    settled = 0
    while settled < 2:
        time.sleep(_LOOK_SECONDS)
        settled = settled + 1 if index.state().settled else 0


if __name__ == "__main__":
    main()
