"""Searches by words, nothing cached: alone, from 16 clients at once, and beside indexing."""

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.bench import Bench
from benchmarks.bulk import Bulk
from benchmarks.http_load import Connection, at_pace, closed_loop
from benchmarks.questions import questions
from benchmarks.results import Measured, Row, percentiles

_PER_SECOND: Final = 4.0
"""Searches that no cache answers: few, for a core that embeds a query embeds no picture."""

_CLIENTS: Final = 16


class _Searcher:
    """Searches in the ways that are compared. Times are the client's."""

    def __init__(self, bench: Bench) -> None:
        self._api_url = bench.stack.api_url
        self._seconds = bench.sizes.load_seconds
        self._questions = questions(seed=3)
        self._turn = threading.Lock()

    def warm_up(self) -> None:
        """The first of everything is slower, in each of the API's threads."""
        closed_loop(self._api_url, _CLIENTS, 2 * _CLIENTS, self._search)

    def at_pace(self) -> Sequence[float]:
        return at_pace(self._api_url, _PER_SECOND, self._seconds, self._search)

    def at_once(self) -> Sequence[float]:
        return closed_loop(self._api_url, _CLIENTS, int(8 * self._seconds), self._search)

    def _search(self, connection: Connection, _: int) -> None:
        with self._turn:
            question = next(self._questions)
        if connection.search(question)["cached"]:
            raise RuntimeError("a question was asked twice")


def measure(bench: Bench) -> Measured:
    """Full speed is that of the same bulk just before and after, without searches."""
    bench.catalogue.hold(bench.sizes.searched)
    searcher = _Searcher(bench)
    searcher.warm_up()
    pause = bench.sizes.load_seconds / 2
    alone: list[Mapping[str, float]] = []
    crowd: list[Mapping[str, float]] = []
    beside: list[Mapping[str, float]] = []
    crowd_rates: list[float] = []
    speeds: list[tuple[float, float]] = []
    for _ in range(bench.sizes.load_rounds):
        alone.append(percentiles(searcher.at_pace()))
        began = time.perf_counter()
        at_once = searcher.at_once()
        crowd_rates.append(len(at_once) / (time.perf_counter() - began))
        crowd.append(percentiles(at_once))
        with Bulk(bench) as bulk:
            before, _nothing = bulk.rate_during(lambda: time.sleep(pause))
            meanwhile, times = bulk.rate_during(searcher.at_pace)
            after, _nothing = bulk.rate_during(lambda: time.sleep(pause))
        beside.append(percentiles(times))
        speeds.append((meanwhile, (before + after) / 2))
    rows = [
        Row(
            name="search p95 while indexing ÷ p95 alone",
            values=_p95_ratios(beside, alone),
            unit="×",
            target=3.0,
            note=f"alone {_in_words(alone)}; while indexing {_in_words(beside)}",
        ),
        Row(
            name="indexing meanwhile ÷ indexing without searches",
            values=[meanwhile / full for meanwhile, full in speeds],
            unit="×",
            target=0.7,
            at_least=True,
            note=f"{_PER_SECOND:.0f} searches/s that no cache answers",
        ),
        Row(
            name=f"search p95 with {_CLIENTS} clients at once ÷ p95 alone",
            values=_p95_ratios(crowd, alone),
            unit="×",
            note=f"{_in_words(crowd)}; {statistics.median(crowd_rates):.0f} searches/s",
        ),
    ]
    details = {
        "milliseconds": {"alone": alone, "at once": crowd, "while indexing": beside},
        "pictures_per_second": {
            "while searching": [meanwhile for meanwhile, _ in speeds],
            "without": [full for _, full in speeds],
        },
    }
    return Measured(rows=rows, details=details)


def _p95_ratios(
    ones: Sequence[Mapping[str, float]], others: Sequence[Mapping[str, float]]
) -> list[float]:
    return [one["p95"] / other["p95"] for one, other in zip(ones, others, strict=True)]


def _in_words(rounds: Sequence[Mapping[str, float]]) -> str:
    medians = [statistics.median(shown[name] for shown in rounds) for name in ("p50", "p95", "p99")]
    return " / ".join(f"{median:.0f}" for median in medians) + " ms (p50/p95/p99)"
