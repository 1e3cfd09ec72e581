"""Columns that are mended step by step stand for the same as columns that are built at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models.search.filters import Filters
from shared.models.terms import attribute_term, members
from shared.search.columns import mending
from shared.search.columns.columns import Columns, NotHeld
from shared.search.columns.mending import OverLimit, mended, no_columns
from shared.search.columns.rows import UNDATED, Row
from shared.search.columns.values import ATTRIBUTE

IDS = st.sampled_from(["a", "b", "c", "d", "e", "shirt"])
VALUES = st.sampled_from(
    [
        "red",
        "Red",
        "réd",
        "1",
        "true",
        True,
        False,
        1,
        1.0,
        2.5,
        ["red", "Blue"],
        ["RED", "red"],
        [],
    ]
)


def payload(product_id: str, **fields: Any) -> dict[str, Any]:
    held = {"id": product_id, "tenant": "shop", "group_id": product_id, "name": product_id}
    return held | {name: value for name, value in fields.items() if value is not None}


PAYLOADS = st.builds(
    payload,
    IDS,
    group_id=st.none() | st.sampled_from(["a", "shirt", "other"]),
    name=st.sampled_from(["Red shirt", "red SHIRT", "Blue shirt"]),
    price=st.none() | st.sampled_from([0, 10, 19.99]),
    sale_price=st.none() | st.just(5.0),
    created_at=st.none() | st.sampled_from(["2024-11-02T10:30:00+00:00", "2026-01-01T00:00:00Z"]),
    category=st.none() | st.sampled_from(["Shoes", "shoes", "Women > Dresses"]),
    brand=st.none() | st.sampled_from(["On", "ON"]),
    availability=st.none() | st.sampled_from(["in_stock", "out_of_stock"]),
    attributes=st.dictionaries(st.sampled_from(["color", "size", "Size"]), VALUES, max_size=3),
)
CHANGES = st.dictionaries(IDS, st.none() | PAYLOADS, max_size=4).map(
    lambda changes: {
        key: None if held is None else held | {"id": key} for key, held in changes.items()
    }
)
FILTERS = st.builds(
    Filters,
    category_filter=st.none() | st.sampled_from(["shoes", "SHOES", ["hats", "women"]]),
    brand_filter=st.none() | st.sampled_from(["on", ["acme", "on"]]),
    in_stock=st.none() | st.just(True),
    price_min=st.none() | st.sampled_from([0, 10]),
    price_max=st.none() | st.sampled_from([10, 15.5]),
    attributes=st.dictionaries(
        st.sampled_from(["color", "size"]),
        st.sampled_from(["red", "1", 1, True, ["blue", False, 2.5], {"gte": 1}, {"lt": 2.5}]),
        max_size=2,
    ),
)


def rows(changes: Mapping[str, dict[str, Any] | None]) -> dict[str, Row | None]:
    return {key: None if held is None else Row.of(held) for key, held in changes.items()}


def told(columns: Columns) -> dict[str, Any]:
    """All that the columns tell of each product, in plain words."""
    positions = columns.live_positions
    groups: dict[int, list[str]] = {}
    for position in positions:
        groups.setdefault(int(columns.groups[position]), []).append(columns.ids[position])
    by_name = sorted(positions, key=lambda at: (columns.name_ranks[at], columns.id_ranks[at]))
    return {
        "products": {
            columns.ids[at]: (
                columns.position_of(columns.ids[at]) == at,
                repr(float(columns.prices[at])),
                int(columns.created[at]),
                bool(columns.buyable[at]),
                {
                    name: value
                    for name, column in columns.fields.items()
                    if (value := column.value(int(at))) is not None
                },
            )
            for at in positions
        },
        "groups": sorted(map(sorted, groups.values())),
        "by name": [columns.ids[at] for at in by_name],
        "facets": {name: facet(columns, name) for name in columns.fields},
    }


def facet(columns: Columns, name: str) -> dict[str, tuple[Any, int]]:
    column = columns.column(name)
    assert column is not None
    _, codes = column.at(columns.live_positions)
    counts = np.bincount(codes, minlength=len(column.terms)).tolist()
    return {
        term: (value, count)
        for term, value, count in zip(column.terms, column.values, counts, strict=True)
        if count
    }


def built(held: Mapping[str, dict[str, Any]]) -> Columns:
    return mended(no_columns(), rows(held), None)


@settings(max_examples=150)
@given(st.lists(CHANGES, max_size=6), st.booleans())
def test_changes_in_steps_come_to_the_same_as_building_at_once(
    steps: Sequence[Mapping[str, dict[str, Any] | None]], tidies: bool
) -> None:
    columns, held = no_columns(), dict[str, dict[str, Any]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mending, "_SPARE", 0 if tidies else 1000)
        for changes in steps:
            columns = mended(columns, rows(changes), None)
            if tidies:
                for column in columns.fields.values():
                    column.store.tidy_beyond = 0
            for key, change in changes.items():
                if change is None:
                    held.pop(key, None)
                else:
                    held[key] = change
    expected = told(built(held))
    found = told(columns)
    found["facets"] = {name: facets for name, facets in found["facets"].items() if facets}
    expected["facets"] = {name: facets for name, facets in expected["facets"].items() if facets}
    assert found == expected
    assert len(columns) == len(held)


@given(st.lists(CHANGES, min_size=1, max_size=5))
def test_what_a_snapshot_tells_stays_whatever_comes_after_it(
    steps: Sequence[Mapping[str, dict[str, Any] | None]],
) -> None:
    columns, snapshots = no_columns(), []
    for changes in steps:
        columns = mended(columns, rows(changes), None)
        snapshots.append((columns, told(columns)))
    for snapshot, expected in snapshots:
        fresh = Columns(**{name: getattr(snapshot, name) for name in Columns.__dataclass_fields__})
        assert told(fresh) == expected


@settings(max_examples=150)
@given(CHANGES, FILTERS)
def test_filters_find_what_they_find_among_the_products_themselves(
    changes: Mapping[str, dict[str, Any] | None], filters: Filters
) -> None:
    columns = mended(no_columns(), rows(changes), None)
    admitted = {key for key, held in changes.items() if held is not None and filters.admits(held)}
    assert set(columns.ids[columns.matching(filters)]) == admitted


def test_a_facet_counts_what_its_filter_finds_and_shows_the_most_frequent_spelling() -> None:
    colors: list[Any] = ["Red", "red", "Red", ["RED", "red", "blue"], 1, 1.0, True]
    held = {
        f"p{number}": payload(f"p{number}", attributes={"color": color})
        for number, color in enumerate(colors)
    }
    columns = built(held)
    shown = facet(columns, "attributes.color")
    assert shown[attribute_term("color", "red")] == ("Red", 4)
    assert shown[attribute_term("color", "blue")] == ("blue", 1)
    assert shown[attribute_term("color", 1)][1] == 2
    assert shown[attribute_term("color", True)] == (True, 1)
    for color in colors:
        for member in members(color):
            filters = Filters(attributes={"color": member})
            count = int(np.count_nonzero(columns.matching(filters)))
            assert shown[attribute_term("color", member)][1] == count


def test_numbers_are_read_from_numbers_alone() -> None:
    sizes: list[Any] = [40, 41.5, "42", True, ["43"]]
    columns = built({str(size): payload(str(size), attributes={"size": size}) for size in sizes})
    numbers = columns.numbers("attributes.size")
    assert numbers is not None
    assert sorted(numbers[~np.isnan(numbers)]) == [40, 41.5]
    assert columns.numbers("category") is None
    assert columns.numbers("attributes.color") is None


def test_a_change_of_prices_alone_shares_all_other_arrays() -> None:
    held = {f"p{n}": payload(f"p{n}", price=1.0, attributes={"color": "red"}) for n in range(9)}
    columns = built(held)
    after = mended(columns, rows({"p3": held["p3"] | {"price": 2.0}}), None)
    assert after.prices[after.positions_of(["p3"])].tolist() == [2.0]
    assert columns.prices[columns.positions_of(["p3"])].tolist() == [1.0]
    for name in ("ids", "live", "groups", "created", "names"):
        assert getattr(after, name) is getattr(columns, name)
    assert after.fields["attributes.color"] is columns.fields["attributes.color"]


def test_what_is_gone_is_found_by_nothing() -> None:
    columns = built({"a": payload("a", price=5, category="shoes")})
    columns = mended(columns, {"a": None, "never was": None}, None)
    assert len(columns) == 0
    assert columns.position_of("a") is None
    assert columns.positions_of(["a", "b"]).tolist() == [-1, -1]
    assert not columns.matching(Filters()).any()


def test_values_that_nothing_uses_any_more_are_forgotten() -> None:
    columns = no_columns()
    for number in range(5000):
        held = payload("a", attributes={"seen": number})
        columns = mended(columns, rows({"a": held}), None)
    assert len(columns.fields["attributes.seen"].store) <= 2001


def test_products_that_come_and_go_leave_no_positions_behind() -> None:
    columns = built({f"stays{n}": payload(f"stays{n}") for n in range(10)})
    for number in range(3000):
        key = f"p{number}"
        columns = mended(columns, rows({key: payload(key, group_id=f"g{number}")}), None)
        columns = mended(columns, {key: None}, None)
    assert len(columns) == 10
    assert len(columns.ids) == len(columns.position_by_id) < 1100


def test_an_attribute_too_many_is_left_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "MAX_ATTRIBUTES", 1)
    columns = built({"a": payload("a", attributes={"color": "red", "size": "M"})})
    assert columns.column("availability")
    (left_out,) = columns.left_out
    with pytest.raises(NotHeld):
        columns.column(left_out)
    with pytest.raises(NotHeld):
        columns.matching(Filters(attributes={left_out.removeprefix(ATTRIBUTE): "red"}))


def test_an_attribute_of_long_texts_is_left_out_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mending, "MAX_VALUE_BYTES", 100_000)
    held = {
        f"p{n}": payload(f"p{n}", category="shoes", attributes={"note": f"{n} " + "x" * 1000})
        for n in range(50)
    }
    columns = built(held)
    assert columns.left_out == {"attributes.note"}
    assert np.count_nonzero(columns.matching(Filters(category_filter="shoes"))) == 50


def test_more_products_than_the_limit_are_no_columns() -> None:
    held = {f"p{n}": payload(f"p{n}") for n in range(4)}
    assert len(mended(no_columns(), rows(held), None, limit=4)) == 4
    with pytest.raises(OverLimit):
        mended(no_columns(), rows(held), None, limit=3)


@pytest.mark.parametrize(
    ("fields", "paid"),
    [({}, None), ({"price": 5}, 5.0), ({"price": 5, "sale_price": 0}, 0.0)],
)
def test_the_price_is_what_the_shopper_pays(fields: dict[str, Any], paid: float | None) -> None:
    row = Row.of(payload("a", **fields))
    assert row.paid == paid or (paid is None and np.isnan(row.paid))


def test_a_row_is_read_from_whatever_a_product_may_hold() -> None:
    row = Row.of(payload("a"))
    assert row.created == UNDATED
    assert row.values == {"availability": "in_stock"}
