"""A run, and its comparison with another one, as tables."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitrine.relevance.bootstrap import Estimate
from vitrine.relevance.comparison import Change, Comparison
from vitrine.relevance.evaluation import EMPTY, METRICS, NDCG, Evaluation

_SCORES: Final = tuple(metric for metric in METRICS if metric != EMPTY)


def show_totals(console: Console, estimates: Mapping[str, Estimate]) -> None:
    """The means of all queries."""
    table = _table("", "mean", "95 % interval", "queries")
    for metric, found in estimates.items():
        interval = f"{found.low:.3f} to {found.high:.3f}"
        table.add_row(*map(Text, (metric, f"{found.mean:.3f}", interval, str(found.queries))))
    console.print(table)


def show_queries(console: Console, evaluation: Evaluation, count: int) -> None:
    """The `count` queries with the lowest nDCG@10, worst first."""
    scored = [item for item in evaluation.queries.items() if item[1].scores[NDCG] is not None]
    scored.sort(key=lambda item: item[1].scores[NDCG] or 0.0)
    if not scored[:count]:
        return
    table = _table(f"worst {len(scored[:count])} of {len(scored)} queries", *_SCORES, "results")
    for query, found in scored[:count]:
        cells = [_number(found.scores[metric]) for metric in _SCORES]
        table.add_row(*map(Text, (query, *cells, str(found.total_results))))
    console.print(table)


def show_comparison(console: Console, comparison: Comparison) -> None:
    """What got better and worse, and whether the means differ by more than chance."""
    table = _table("difference", "mean", "95 % interval", "")
    for metric, found in comparison.differences.items():
        interval = f"{found.low:+.3f} to {found.high:+.3f}"
        table.add_row(*map(Text, (metric, f"{found.mean:+.3f}", interval, _verdict(metric, found))))
    console.print(table)
    worse = [change for change in comparison.changes if change.difference < 0]
    better = [change for change in reversed(comparison.changes) if change.difference > 0]
    for name, changes in (("better", better), ("worse", worse)):
        _show_changes(console, name, changes)
    if comparison.only_one_has:
        console.print(f"left out, because only one run has them: {comparison.only_one_has} queries")


def _show_changes(console: Console, name: str, changes: Sequence[Change]) -> None:
    if not changes:
        console.print(f"no query got {name}")
        return
    table = _table(f"{len(changes)} got {name}", "before", "after", "")
    for change in changes:
        numbers = (f"{change.before:.3f}", f"{change.after:.3f}", f"{change.difference:+.3f}")
        table.add_row(*map(Text, (change.query, *numbers)))
    console.print(table)


def _verdict(metric: str, found: Estimate) -> str:
    if not found.differs_from_zero:
        return "may be chance"
    return "better" if (found.mean < 0) == (metric == EMPTY) else "worse"


def _table(first: str, *headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="dim", border_style="dim")
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
