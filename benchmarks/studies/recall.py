"""How many of the ten nearest the configured search finds, at the server of QDRANT_URL.

`python -m benchmarks.studies.recall` takes products of the settings' own collection and searches
around them, each search once as the API sends it and once exactly, under the tenant's filter.
Printed are recall@10 and how many times as long as exact search it takes; below 0.98 the exit code
is 1, and a higher QDRANT_HNSW_EF or QDRANT_OVERSAMPLING is called for.

`--points 100000` measures on drawn vectors instead (see `drawn_vectors`), in a collection of its
own that is removed afterwards. Without QDRANT_URL these go to an embedded server, which compares
every vector: its recall is 1.

Searches are those by pictures (near a product) and by words (at a cosine of 0.3 from one).
"""

import argparse
import statistics
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import Final

import numpy as np

from benchmarks.drawn_vectors import DIMENSIONS, DrawnCatalogue, Vectors, around
from benchmarks.qdrant_server import TENANT, fresh_qdrant, products
from shared.embedding.identity import collection_name
from shared.models.search import Filters
from shared.qdrant.bootstrap import build_transfer
from shared.qdrant.recovery.index import VectorIndex
from shared.qdrant.service import QdrantService
from shared.qdrant.tuning import IndexTuning
from shared.qdrant.vectors import IMAGE
from shared.settings import Settings, read_settings

TOP: Final = 10
LEAST: Final = 0.98

_AT_ONCE: Final = 256
_READ_SECONDS: Final = 120.0
"""Exact search is measured, not given up."""
_LOOK_SECONDS: Final = 2.0

Searches = Mapping[str, Sequence[tuple[str, Vectors]]]
"""By kind: each with its tenant."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.recall")
    parser.add_argument("--points", type=int, help="draw so many instead of the shop's own")
    parser.add_argument("--searches", type=int, default=200, help="of each kind (%(default)s)")
    options = parser.parse_args()
    settings = read_settings()
    if options.points is None:
        service = _service(settings, collection_name(settings))
        least = measured(service, _around_products(settings, service, options.searches))
        service.close()
    else:
        with ExitStack() as own:
            if "qdrant_url" not in settings.model_fields_set:
                settings = settings.model_copy(update=own.enter_context(fresh_qdrant()))
            least = _on_drawn(settings, options.points, options.searches)
    if least < LEAST:
        sys.exit(f"recall@{TOP} is below {LEAST}: raise QDRANT_HNSW_EF or QDRANT_OVERSAMPLING")


def _service(settings: Settings, collection: str) -> QdrantService:
    return QdrantService(
        settings.qdrant_url,
        collection,
        dimensions=DIMENSIONS,
        api_key=settings.qdrant_api_key,
        tuning=IndexTuning.of(settings),
        read_timeout=_READ_SECONDS,
        write_timeout=_READ_SECONDS,
    )


def _around_products(settings: Settings, service: QdrantService, count: int) -> Searches:
    points = build_transfer(settings)
    # Their order is that of hashes, so the first ones are any.
    live = (point for point in chain.from_iterable(points.points()) if not point.is_tombstone)
    sample = [(point.tenant, point.vectors.get(IMAGE)) for point in islice(live, count)]
    points.close()
    held = [(tenant, vector) for tenant, vector in sample if vector is not None]
    if not held:
        sys.exit(f"{service.collection} holds no products; draw some with --points")
    near, far = around(np.stack([vector for _, vector in held]))
    tenants = [tenant for tenant, _ in held]
    return {
        "pictures": list(zip(tenants, near, strict=True)),
        "words": list(zip(tenants, far, strict=True)),
    }


def _on_drawn(settings: Settings, count: int, searches: int) -> float:
    """The lowest recall, in a collection that is filled as a bulk load fills it."""
    service = _service(settings, f"recall-{uuid.uuid4().hex}")
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
        return measured(
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


def measured(service: QdrantService, searches: Searches) -> float:
    """Prints each kind's recall and time; returns the lowest recall."""
    least = 1.0
    for kind, asked in searches.items():
        hits = wanted = 0
        took: dict[bool, list[float]] = {False: [], True: []}
        for tenant, vector in asked:
            found: dict[bool, set[str]] = {}
            for exact, seconds in took.items():  # in turns: other work hits both alike
                began = time.perf_counter()
                page = service.search(tenant, vector, Filters(), TOP, exact=exact)
                seconds.append(time.perf_counter() - began)
                found[exact] = {hit.product_id for hit in page}
            hits += len(found[False] & found[True])
            wanted += len(found[True])
        recall = hits / wanted
        least = min(least, recall)
        configured, exactly = (statistics.median(seconds) for seconds in took.values())
        print(
            f"{kind}: recall@{TOP} {recall:.4f} of {len(asked)} searches; "
            f"{1000 * configured:.2f} ms, {configured / exactly:.2f} times exact search's "
            f"{1000 * exactly:.2f} ms"
        )
    return least


if __name__ == "__main__":
    main()
