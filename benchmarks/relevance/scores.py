"""Rated queries, scored as `vitrine evaluate` scores them."""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.relevance.shops import Shop
from benchmarks.results import Row
from vitrine.relevance.evaluation import Evaluation, evaluate
from vitrine.relevance.metrics import Ratings

_AT_ONCE: Final = 2
_SEED: Final = 1

Queries = Mapping[str, Ratings]


def ask(shop: Shop, queries: Queries, **request: Any) -> Evaluation:
    """The scores of the queries. Each product is rated by itself, so groups are taken apart."""
    return evaluate(shop.api, queries, {"group": False, **request}, _AT_ONCE)


def mean(found: Evaluation, metric: str) -> float:
    """The metric's mean over the queries."""
    return found.estimates(_SEED)[metric].mean


def at_least(name: str, value: float, target: float | None = None, note: str = "") -> Row:
    """A row of the table, with a lower bound if there is one."""
    return Row(
        name=name, values=[value], unit="", target=target, at_least=True, digits=3, note=note
    )


def at_most(name: str, value: float, target: float, digits: int = 0, note: str = "") -> Row:
    """A row of the table with an upper bound."""
    return Row(name=name, values=[value], unit="", target=target, digits=digits, note=note)
