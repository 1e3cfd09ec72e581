"""The orders that products are shown in, and the product that stands for its group. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.models.search.requests import Sort
from shared.search.result_set.columns import Columns
from shared.search.result_set.results import ResultSet

Rows = NDArray[np.int64]
"""Indices of a result set's arrays."""

RELEVANCE: Final = "relevance"


def by_relevance(
    results: ResultSet, columns: Columns, rows: Rows, *, in_stock_first: bool, newest_first: bool
) -> Rows:
    """The rows by code, then (if wished) what can be bought, then score, then product id.

    `newest_first`: before the id, for sets in which nothing is better than another.
    """
    positions = results.positions[rows]
    # What was found stands in the order of ids where scores are equal.
    keys: list[NDArray[Any]] = [results.places[rows]]
    if newest_first:
        keys = [columns.id_ranks[positions], -columns.created[positions]]
    keys.append(-results.scores[rows])
    if in_stock_first:
        keys.append(~columns.buyable[positions])
    keys.append(-results.tiers[rows])
    return rows[np.lexsort(keys)]


def first_of_groups(
    results: ResultSet, columns: Columns, rows: Rows
) -> tuple[Rows, NDArray[np.int64]]:
    """Of rows in order the first of each group, in that order, and how many rows each group has."""
    groups = columns.groups[results.positions[rows]]
    _, first, counts = np.unique(groups, return_index=True, return_counts=True)
    order = np.argsort(first)
    return rows[first[order]], counts[order]


def places(sort: Sort, results: ResultSet, columns: Columns, rows: Rows) -> NDArray[np.int64]:
    """The order in which to show rows that stand in the order of relevance, as their indices.

    Rows that tie stay in the order of relevance; products without a price come last.
    """
    positions = results.positions[rows]
    match sort:
        case "price_asc":
            return np.argsort(columns.prices[positions], kind="stable")
        case "price_desc":
            return np.argsort(-columns.prices[positions], kind="stable")
        case "newest":
            return np.argsort(-columns.created[positions], kind="stable")
        case "name":
            return np.argsort(columns.name_ranks[positions], kind="stable")
        case "relevance":
            return np.arange(len(rows), dtype=np.int64)
