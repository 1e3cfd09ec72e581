"""The answer to a request as functions of one result set. Pure.

Total, pages, facets, sorts and groups are made here and nowhere else, from the same rows, so that
they agree with each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from shared.models.search.answers import Facet
from shared.models.search.filters import Condition
from shared.models.search.hits import Relation
from shared.models.search.requests import Sort
from shared.search.result_set.columns import Columns
from shared.search.result_set.conditions import Mask, met
from shared.search.result_set.facets import facet
from shared.search.result_set.order import (
    RELEVANCE,
    Rows,
    by_relevance,
    first_of_groups,
    places,
)
from shared.search.result_set.results import ResultSet


@dataclass(frozen=True, slots=True)
class View:
    """What a request wants to see of a result set.

    `conditions` are those that the set doesn't meet by itself, at most one for a field;
    `in_stock_first` puts products that
    can be bought before those that can't; `newest_first` orders a set that has no scores.
    """

    conditions: Sequence[Condition] = ()
    sort: Sort = RELEVANCE
    facets: Sequence[str] = ()
    grouped: bool = True
    in_stock_first: bool = False
    newest_first: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The products of an answer, over all of its pages.

    `rows` are in the order that is shown, one for each group if groups are wished; `variants` says
    how many products that meet the conditions each of them stands for.
    """

    rows: Rows
    variants: NDArray[np.int64]
    facets: Mapping[str, Facet]
    relation: Relation

    @property
    def total(self) -> int:
        """The number of distinct products over all pages; at least so many if the set is cut."""
        return len(self.rows)


def select(results: ResultSet, columns: Columns, view: View) -> Selection:
    """The products of the set that meet the conditions, in order, and the facets beside them.

    The product that stands for its group is the most relevant of those that meet the conditions,
    whatever they are sorted by: so every sort shows the same products.
    """
    masks = {
        condition.attribute: met(columns, results.positions, condition)
        for condition in view.conditions
    }
    rows = by_relevance(
        results,
        columns,
        np.flatnonzero(_all(masks, len(results.positions))),
        in_stock_first=view.in_stock_first,
        newest_first=view.newest_first,
    )
    variants = np.ones(len(rows), np.int64)
    if view.grouped:
        rows, variants = first_of_groups(results, columns, rows)
    shown = places(view.sort, results, columns, rows)
    return Selection(
        rows[shown],
        variants[shown],
        {name: _facet(results, columns, view, masks, name) for name in view.facets},
        relation_of(results),
    )


def _facet(
    results: ResultSet,
    columns: Columns,
    view: View,
    masks: Mapping[str, Mask],
    name: str,
) -> Facet:
    """A facet leaves out the condition on its own field: it counts what the siblings would give."""
    others = {field: mask for field, mask in masks.items() if field != name}
    mask = _all(others, len(results.positions))
    positions = results.positions[mask]
    return facet(columns, positions, name, grouped=view.grouped, relation=relation_of(results))


def _all(masks: Mapping[str, Mask], size: int) -> Mask:
    return reduce(np.logical_and, masks.values(), np.ones(size, np.bool_))


def relation_of(results: ResultSet) -> Relation:
    """How counts of the set's products are to be read."""
    return "gte" if results.cut else "eq"
