"""A search by words alone on the service, and what its two necessary parts take by themselves."""

import statistics
import time
from typing import Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.catalogue import TENANT
from benchmarks.drawn_vectors import DIMENSIONS
from benchmarks.measures.plain_loops import Loop, own_text
from benchmarks.questions import questions
from benchmarks.results import Measured, Row, percentiles
from shared.models.search.filters import Filters

_ROUNDS: Final = 3
_WARM_UP: Final = 5
_ALLOWANCE_MS: Final = 4.0
"""For everything else: HTTP, validation, caches, fields."""


def measure(bench: Bench) -> Measured:
    """Service, text tower and Qdrant in turn, so that what else happens happens to all alike."""
    sizes = bench.sizes
    bench.catalogue.hold(sizes.searched)
    asked, embedded = questions(seed=1), questions(seed=2)
    rng = np.random.default_rng(0)
    took: dict[str, list[float]] = {"anew": [], "repeated": [], "text": [], "qdrant": []}
    with Loop(own_text, bench.settings_with_servers) as text:
        for number in range(_WARM_UP + sizes.searches):
            question = next(asked)
            anew = bench.connection.search(question)
            repeated = bench.connection.search(question)
            if anew["cached"] or not repeated["cached"]:
                raise RuntimeError("a search was not answered in the way that was to be timed")
            forward = text(next(embedded))
            vector = rng.normal(size=DIMENSIONS)
            began = time.perf_counter()
            bench.catalogue.qdrant.search(TENANT, vector / np.linalg.norm(vector), Filters(), 10)
            query = time.perf_counter() - began
            if number >= _WARM_UP:
                took["anew"].append(anew["execution_time_ms"] / 1000)
                took["repeated"].append(repeated["execution_time_ms"] / 1000)
                took["text"].append(forward)
                took["qdrant"].append(query)
    medians = {
        name: [1000 * statistics.median(part) for part in _parts(seconds)]
        for name, seconds in took.items()
    }
    needed = [sum(both) for both in zip(medians["text"], medians["qdrant"], strict=True)]
    text_ms, qdrant_ms = (statistics.median(medians[name]) for name in ("text", "qdrant"))
    rows = [
        Row(
            name=f"text search, nothing cached, {sizes.searched:,} products: server time",
            values=medians["anew"],
            unit="ms",
            target=text_ms + qdrant_ms + _ALLOWANCE_MS,
            digits=1,
            note=f"the target is text forward ({text_ms:.1f} ms) + Qdrant query ({qdrant_ms:.1f}) "
            f"+ {_ALLOWANCE_MS:.0f}, medians",
        ),
        Row(
            name="the same ÷ text forward + Qdrant query",
            values=[anew / parts for anew, parts in zip(medians["anew"], needed, strict=True)],
            unit="×",
        ),
        Row(
            name="repeated search: server time",
            values=medians["repeated"],
            unit="ms",
            target=2.0,
        ),
    ]
    details = {name: percentiles(seconds) for name, seconds in took.items()}
    return Measured(rows=rows, details={"milliseconds": details})


def _parts(seconds: list[float]) -> list[list[float]]:
    """The measurements in their order, in as many parts as there are values in a row."""
    each = max(1, len(seconds) // _ROUNDS)
    return [seconds[at : at + each] for at in range(0, each * _ROUNDS, each)]
