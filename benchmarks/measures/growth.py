"""How query time, memory and disk grow with the catalogue, up to the embedded server's limit."""

import statistics
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.catalogue import TENANT, Catalogue
from benchmarks.drawn_vectors import DIMENSIONS
from benchmarks.memory import disk_mb, memory_of
from benchmarks.results import Measured, Row
from benchmarks.service import running_stack
from shared.errors import TransientError
from shared.models.search.filters import Filters
from stack.run import Stack

_QUERIES: Final = 100
_STARTING_SECONDS: Final = 60.0
_SETTLING_SECONDS: Final = 3.0


def measure(bench: Bench) -> Measured:
    """On servers of its own, so that nothing else is in them."""
    looks: list[Mapping[str, Any]] = []
    with running_stack(bench.settings.clip_model, only=("redis", "qdrant")) as stack:
        settings = {**stack.settings.model_dump(), **stack.addresses}
        catalogue = Catalogue(settings, bench.pictures, bench.files)
        _wait_for_servers(catalogue)
        for count in bench.sizes.growth:
            catalogue.hold(count)
            looks.append({"products": count, **_look(stack, catalogue)})
    few, many = looks[0], looks[-1]
    between = f"{few['products']:,} to {many['products']:,} products"
    rows = [
        Row(
            name=f"{what}: {between}",
            values=[many[field] / few[field]],
            unit="×",
            note=f"{few[field]:.1f} to {many[field]:.1f} {unit}",
        )
        for what, field, unit in (
            ("vector query", "query_ms", "ms"),
            ("memory of Qdrant", "qdrant_mb", "MB"),
            ("memory of the ledger", "redis_mb", "MB"),
            ("disk", "disk_mb", "MB"),
        )
    ]
    return Measured(rows=rows, details={"looks": looks})


def _look(stack: Stack, catalogue: Catalogue) -> Mapping[str, float]:
    """Milliseconds of a vector query, MB of each server's memory (PSS) and of all data on disk."""
    time.sleep(_SETTLING_SECONDS)  # for writes in the background
    rng = np.random.default_rng(1)
    took = []
    for _ in range(_QUERIES):
        vector = rng.normal(size=DIMENSIONS)
        began = time.perf_counter()
        catalogue.qdrant.search(TENANT, vector / np.linalg.norm(vector), Filters(), 10)
        took.append(time.perf_counter() - began)
    memory = memory_of(stack)
    return {
        "query_ms": 1000 * statistics.median(took),
        "qdrant_mb": memory["qdrant"]["pss_mb"],
        "redis_mb": memory["redis"]["pss_mb"],
        "disk_mb": disk_mb(stack.data_dir),
    }


def _wait_for_servers(catalogue: Catalogue) -> None:
    """Returns once both servers answer. Raises TransientError if they don't within a minute."""
    deadline = time.monotonic() + _STARTING_SECONDS
    while True:
        try:
            return catalogue.hold(0)
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
