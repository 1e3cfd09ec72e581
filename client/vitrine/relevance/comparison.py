"""Two runs on the same queries: what got better, what got worse, and whether it means anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from vitrine.relevance.bootstrap import Estimate, estimate
from vitrine.relevance.evaluation import METRICS, NDCG, Evaluation

_NOTICED: Final = 0.005
"""The least difference of a query's nDCG@10 that is told; less is another order of equals."""


class Change(NamedTuple):
    """One query's nDCG@10 in both runs."""

    query: str
    before: float
    after: float

    @property
    def difference(self) -> float:
        """Above 0 it got better."""
        return self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """The second run held against the first."""

    changes: Sequence[Change]
    """Of the queries that both have scored, the ones that changed, worst first."""
    differences: Mapping[str, Estimate]
    """The mean difference by metric, query by query, with its interval."""
    only_one_has: int
    """Queries that are in one of the runs alone, and so are left out."""


def compare(before: Evaluation, after: Evaluation, seed: int) -> Comparison:
    """What became of the queries that both runs asked."""
    both = [query for query in after.queries if query in before.queries]
    differences = {}
    for metric in METRICS:
        pairs = [_pair(before, after, query, metric) for query in both]
        found = estimate([pair.difference for pair in pairs if pair], seed)
        if found:
            differences[metric] = found
    pairs = [_pair(before, after, query, NDCG) for query in both]
    changes = [pair for pair in pairs if pair and abs(pair.difference) >= _NOTICED]
    alone = len(before.queries.keys() ^ after.queries.keys())
    return Comparison(sorted(changes, key=lambda each: each.difference), differences, alone)


def _pair(before: Evaluation, after: Evaluation, query: str, metric: str) -> Change | None:
    earlier = before.queries[query].scores[metric]
    later = after.queries[query].scores[metric]
    return None if earlier is None or later is None else Change(query, earlier, later)
