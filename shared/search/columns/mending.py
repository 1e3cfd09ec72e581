"""The next snapshot of a tenant's columns, made from the last one and what has changed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from shared.models.change import Aspect
from shared.search.columns.columns import MAX_PRODUCTS, Columns
from shared.search.columns.rows import UNDATED, Row
from shared.search.columns.values import ATTRIBUTE, NONE, Column, Mask, Positions, Value, Values

MAX_ATTRIBUTES: Final = 256
"""Attributes that columns are held of, the first that come. Each takes 4 bytes per product."""

MAX_VALUE_BYTES: Final = 64 * 2**20
"""Of all attributes' distinct values, by about. An attribute that would exceed them is left out."""

_SPARE: Final = 1000
"""Positions without a product that are never worth a tidying."""

Generation = Mapping[Aspect, str]
Array = TypeVar("Array", bound="NDArray[Any]")


def no_columns() -> Columns:
    """The snapshot of a tenant without products."""
    return Columns(
        ids=np.empty(0, np.object_),
        live=np.empty(0, np.bool_),
        groups=np.empty(0, np.int64),
        prices=np.empty(0),
        created=np.empty(0, np.int64),
        names=np.empty(0, np.object_),
        fields={},
        left_out=frozenset(),
        generation=None,
        position_by_id={},
    )


class OverLimit(Exception):
    """The tenant has more live products than columns are held of."""


def mended(
    columns: Columns,
    changes: Mapping[str, Row | None],
    generation: Generation | None,
    limit: int = MAX_PRODUCTS,
) -> Columns:
    """The snapshot after these changes: by product id its row, None for one that is gone.

    Arrays in which nothing changes are shared with the last snapshot. Only one thread at a time
    may go on from a snapshot, and only from the newest: its dictionaries are added to. Raises
    `OverLimit` beyond `limit` live products.
    """
    before = columns
    known = columns.position_by_id
    rows = {key: row for key, row in changes.items() if row is not None or key in known}
    if rows:
        columns = _applied(_with_room(columns, rows), rows)
        if len(columns) > limit:
            raise OverLimit
        columns = _tidied(columns)
    return _carried(before, replace(columns, generation=generation))


def _carried(before: Columns, after: Columns) -> Columns:
    """The snapshot with those of the last one's orders that hold for it, too: to sort 50,000 names
    anew for one price would take longer than a search."""
    for order, source in (("id_ranks", "ids"), ("name_ranks", "names"), ("live_positions", "live")):
        if order in vars(before) and getattr(before, source) is getattr(after, source):
            vars(after)[order] = vars(before)[order]
    return after


def _with_room(columns: Columns, rows: Mapping[str, Row | None]) -> Columns:
    """With a position for each id and group of the rows."""
    positions = columns.position_by_id
    for key, row in rows.items():
        positions.setdefault(key, len(positions))
        if row is not None:
            positions.setdefault(row.group, len(positions))
    first, size = len(columns.ids), len(positions)
    if first == size:
        return columns
    added = size - first
    return replace(
        columns,
        ids=np.append(columns.ids, _objects(list(islice(positions, first, None)))),
        live=_grown(columns.live, added, False),
        groups=np.append(columns.groups, np.arange(first, size)),
        prices=_grown(columns.prices, added, np.nan),
        created=_grown(columns.created, added, UNDATED),
        names=_grown(columns.names, added, ""),
        fields={
            name: replace(column, codes=_grown(column.codes, added, NONE))
            for name, column in columns.fields.items()
        },
    )


def _applied(columns: Columns, rows: Mapping[str, Row | None]) -> Columns:
    position = columns.position_by_id
    at = np.array([position[key] for key in rows], np.int64)
    given = list(rows.items())
    fields, left_out = _applied_fields(columns, at, list(rows.values()))
    return replace(
        columns,
        live=_set(columns.live, at, [row is not None for _, row in given]),
        groups=_set(
            columns.groups, at, [position[row.group if row else key] for key, row in given]
        ),
        prices=_set(columns.prices, at, [row.paid if row else np.nan for _, row in given]),
        created=_set(columns.created, at, [row.created if row else UNDATED for _, row in given]),
        names=_set(columns.names, at, [row.name if row else "" for _, row in given]),
        fields=fields,
        left_out=left_out,
    )


def _applied_fields(
    columns: Columns, at: Positions, rows: Sequence[Row | None]
) -> tuple[Mapping[str, Column], frozenset[str]]:
    """The columns of the fields, and the names of those that are left out."""
    fields, left_out = dict(columns.fields), set(columns.left_out)
    touched = {name for name, each in fields.items() if (each.codes[at] != NONE).any()}
    touched.update(name for row in rows if row for name in row.values)
    for name in sorted(touched - left_out):
        column = fields.get(name)
        if column is None:
            if name.startswith(ATTRIBUTE) and len(_attributes(fields)) >= MAX_ATTRIBUTES:
                left_out.add(name)
                continue
            column = Column(np.full(len(columns.ids), NONE, np.int32), Values(name), 0)
        fields[name] = _applied_column(
            column, at, [row.values.get(name) if row else None for row in rows]
        )
        grew = name.startswith(ATTRIBUTE) and fields[name].size > column.size
        if grew and sum(each.store.bytes for each in _attributes(fields)) > MAX_VALUE_BYTES:
            del fields[name]
            left_out.add(name)
    return fields, frozenset(left_out)


def _applied_column(column: Column, at: Positions, values: Sequence[Value | None]) -> Column:
    store = column.store
    codes = _set(column.codes, at, [NONE if v is None else store.code(v) for v in values])
    return column if codes is column.codes else Column(codes, store, len(store))


def _attributes(fields: Mapping[str, Column]) -> Sequence[Column]:
    return [column for name, column in fields.items() if name.startswith(ATTRIBUTE)]


def _tidied(columns: Columns) -> Columns:
    """Without most positions and values that nothing uses any more."""
    fields = {name: _tidied_column(column) for name, column in columns.fields.items()}
    columns = replace(columns, fields=fields)
    size = len(columns.ids)
    if size - len(columns) <= max(_SPARE, size // 4):
        return columns
    keep = columns.live.copy()
    keep[columns.groups[columns.live]] = True
    return columns if 4 * np.count_nonzero(keep) > 3 * size else _renumbered(columns, keep)


def _renumbered(columns: Columns, keep: Mask) -> Columns:
    new = np.cumsum(keep) - 1
    ids = columns.ids[keep]
    return replace(
        columns,
        ids=ids,
        live=columns.live[keep],
        groups=new[columns.groups[keep]],
        prices=columns.prices[keep],
        created=columns.created[keep],
        names=columns.names[keep],
        fields={
            name: replace(column, codes=column.codes[keep])
            for name, column in columns.fields.items()
        },
        position_by_id={each: position for position, each in enumerate(ids)},
    )


def _tidied_column(column: Column) -> Column:
    if column.size <= column.store.tidy_beyond:
        return column
    used = np.unique(column.codes[column.codes != NONE])
    column.store.tidy_beyond = 2 * column.size
    if 2 * len(used) > column.size:
        return column
    store = Values(column.store.field)
    new = np.full(column.size + 1, NONE, np.int32)  # the last one stands for NONE
    new[used] = [store.code(column.store[code]) for code in used]
    store.tidy_beyond = max(store.tidy_beyond, 2 * len(store))
    return Column(new[column.codes], store, len(store))


def _set(array: Array, at: Positions, values: Sequence[Any]) -> Array:
    """The array with these values at these positions: itself if it has them already."""
    old, new = array[at], np.array(values, array.dtype)
    if np.all((old == new) | ((old != old) & (new != new))):  # noqa: PLR0124 - NaN differs from itself
        return array
    changed = array.copy()
    changed[at] = new
    return changed


def _grown(array: Array, added: int, value: object) -> Array:
    grown = np.append(array, np.full(added, value, array.dtype))
    return cast("Array", grown)


def _objects(values: Sequence[str]) -> NDArray[np.object_]:
    return np.array(values, np.object_)
