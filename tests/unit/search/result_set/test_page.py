"""The equations between total, pages, facets, sorts and groups, on thousands of made-up sets."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models.search.answers import PriceFacet, ValueFacet
from shared.models.search.filters import AnyOf, Condition, Range, Within
from shared.search.result_set.page import Selection, View, select
from shared.search.result_set.results import Found, ResultSet
from tests.unit.search.result_set.made_up import (
    SORTS,
    MadeUp,
    MadeUpColumns,
    catalogue,
    found,
    meets,
    views,
)

many = settings(max_examples=60, deadline=None)


@st.composite
def requests(draw: st.DrawFn) -> tuple[MadeUpColumns, ResultSet, View]:
    """A catalogue, a result set of it and what is asked of it."""
    # Hypothesis draws a seed rather than each field of each product, which takes it 100 times as
    # long.
    chance = Random(draw(st.integers(0, 2**32)))
    columns = catalogue(chance)
    if draw(st.booleans()):
        view = replace(draw(views()), newest_first=True)
        return columns, ResultSet.of_all(columns), view
    drawn = found(chance, columns, cut=draw(st.booleans()))
    return columns, ResultSet.of(drawn, columns), draw(views())


def ids(selection: Selection, results: ResultSet, columns: MadeUpColumns) -> list[str]:
    return [columns.ids[position] for position in results.positions[selection.rows]]


def products(results: ResultSet, columns: MadeUpColumns) -> list[MadeUp]:
    return [columns.products[columns.ids[position]] for position in results.positions]


@many
@given(requests())
def test_the_total_is_the_number_of_distinct_products_or_groups_that_meet_the_conditions(
    request_: tuple[MadeUpColumns, ResultSet, View],
) -> None:
    columns, results, view = request_
    selection = select(results, columns, view)
    meeting = [each for each in products(results, columns) if meets(each, view.conditions)]
    expected = {each.group if view.grouped else each.id for each in meeting}
    shown = ids(selection, results, columns)
    assert selection.total == len(expected) == len(set(shown)) == len(shown)
    assert selection.relation == ("gte" if results.cut else "eq")
    if view.grouped:
        assert {columns.products[each].group for each in shown} == expected
        assert int(selection.variants.sum()) == len(meeting)
    for product_id, variants in zip(shown, selection.variants, strict=True):
        group = columns.products[product_id].group
        of_group = [each for each in meeting if each.group == group]
        assert variants == (len(of_group) if view.grouped else 1)
        assert columns.products[product_id] in meeting


@many
@given(requests())
def test_a_value_counts_as_many_as_the_same_request_finds_with_it(
    request_: tuple[MadeUpColumns, ResultSet, View],
) -> None:
    columns, results, view = request_
    for name, facet in select(results, columns, view).facets.items():
        if isinstance(facet, PriceFacet):
            clicks: list[tuple[Condition, int]] = [
                (Within(name, Range(gte=each.min, lte=each.max)), each.count)
                for each in facet.ranges
            ]
            total = select(results, columns, clicked(view, Within(name, Range()))).total
            if not view.grouped:
                assert sum(each.count for each in facet.ranges) == total
        else:
            clicks = [(AnyOf(name, [str(each.value)]), each.count) for each in facet.values]
            counts = [each.count for each in facet.values]
            assert counts == sorted(counts, reverse=True)
        for condition, count in clicks:
            assert count > 0
            narrowed = select(results, columns, clicked(view, condition))
            assert narrowed.total == count
            # The facet itself stays as it was: further values can be ticked.
            assert narrowed.facets[name] == facet


def clicked(view: View, condition: Condition) -> View:
    """The view with this condition in the place of the one on the same field."""
    return replace(view, conditions=[*without(view, condition.attribute), condition])


def without(view: View, name: str) -> list[Condition]:
    return [condition for condition in view.conditions if condition.attribute != name]


@many
@given(requests())
def test_a_facet_names_every_value_that_products_have_without_its_own_condition(
    request_: tuple[MadeUpColumns, ResultSet, View],
) -> None:
    columns, results, view = request_
    for name, facet in select(results, columns, view).facets.items():
        others = without(view, name)
        meeting = [each for each in products(results, columns) if meets(each, others)]
        if isinstance(facet, ValueFacet):
            expected = {value for each in meeting for value in each.fields.get(name, ())}
            assert {each.value for each in facet.values} == expected
        else:
            prices = [each.price for each in meeting if each.price is not None]
            assert facet.min == min(prices, default=None)
            assert facet.max == max(prices, default=None)


@many
@given(requests())
def test_every_sort_shows_the_same_products_with_the_same_facets(
    request_: tuple[MadeUpColumns, ResultSet, View],
) -> None:
    columns, results, view = request_
    answers = [select(results, columns, replace(view, sort=sort)) for sort in SORTS]
    assert len({frozenset(ids(each, results, columns)) for each in answers}) == 1
    assert all(each.facets == answers[0].facets for each in answers)


@many
@given(requests())
def test_products_stand_in_the_order_that_is_asked_for(
    request_: tuple[MadeUpColumns, ResultSet, View],
) -> None:
    columns, results, view = request_
    shown = [
        columns.products[each] for each in ids(select(results, columns, view), results, columns)
    ]
    prices = [each.price for each in shown]
    priced = [price for price in prices if price is not None]
    match view.sort:
        case "price_asc":
            assert prices == [*sorted(priced), *[None] * (len(prices) - len(priced))]
        case "price_desc":
            assert prices == [*sorted(priced)[::-1], *[None] * (len(prices) - len(priced))]
        case "newest":
            assert [-each.created for each in shown] == sorted(-each.created for each in shown)
        case "name":
            assert [each.name for each in shown] == sorted(each.name for each in shown)
        case "relevance":
            keys = [relevance(each, results, columns, view) for each in shown]
            assert keys == sorted(keys)


def relevance(
    product: MadeUp, results: ResultSet, columns: MadeUpColumns, view: View
) -> tuple[object, ...]:
    position = columns.positions_of([product.id])
    (row,) = (results.positions == position).nonzero()[0]
    return (
        -results.tiers[row],
        view.in_stock_first and product.fields["availability"] == ("out_of_stock",),
        -results.scores[row],
        -product.created if view.newest_first else 0,
        product.id,
    )


@many
@given(requests())
def test_the_most_relevant_variant_that_meets_the_conditions_stands_for_its_group(
    request_: tuple[MadeUpColumns, ResultSet, View],
) -> None:
    columns, results, view = request_
    view = replace(view, grouped=True)
    for product_id in ids(select(results, columns, view), results, columns):
        shown = columns.products[product_id]
        rivals = [
            each
            for each in products(results, columns)
            if each.group == shown.group and meets(each, view.conditions)
        ]
        best = min(rivals, key=lambda each: relevance(each, results, columns, view))
        assert shown is best


@many
@given(requests(), st.integers(1, 7))
def test_pages_hold_every_product_once(
    request_: tuple[MadeUpColumns, ResultSet, View], size: int
) -> None:
    columns, results, view = request_
    # Each page is an answer by itself.
    whole = select(results, columns, view)
    pages = [
        ids(select(results, columns, view), results, columns)[start : start + size]
        for start in range(0, whole.total, size)
    ]
    together = [product_id for page in pages for product_id in page]
    assert len(together) == len(set(together)) == whole.total


def test_products_that_are_gone_are_no_part_of_a_set() -> None:
    columns = MadeUpColumns([])
    results = ResultSet.of(Found(["gone"], [1.0], [None], [None], [0], cut=False), columns)
    assert select(results, columns, View(facets=["price", "brand"])).total == 0


@pytest.mark.parametrize("prices", [[0.0, 5e-324], [1e308, 1.7e308], [7.0, 7.0], [0.0]])
def test_price_ranges_of_whatever_prices(prices: list[float]) -> None:
    rows = [
        MadeUp(f"p{n}", f"p{n}", price, 0, "", {"availability": ("in_stock",)})
        for n, price in enumerate(prices)
    ]
    columns = MadeUpColumns(rows)
    answer = select(ResultSet.of_all(columns), columns, View(facets=["price"]))
    facet = answer.facets["price"]
    assert isinstance(facet, PriceFacet)
    assert (facet.min, facet.max) == (min(prices), max(prices))
    assert sum(each.count for each in facet.ranges) == len(prices)


@many
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_a_price_facet_has_a_handful_of_ranges_that_neither_touch_nor_leave_out_a_price(
    prices: list[float],
) -> None:
    rows = [
        MadeUp(f"p{n}", f"p{n}", price, 0, "", {"availability": ("in_stock",)})
        for n, price in enumerate(prices)
    ]
    columns = MadeUpColumns(rows)
    facet = select(ResultSet.of_all(columns), columns, View(facets=["price"])).facets["price"]
    assert isinstance(facet, PriceFacet)
    assert 1 <= len(facet.ranges) <= 7
    bounds = [bound for each in facet.ranges for bound in (each.min, each.max)]
    assert bounds == sorted(bounds)
    assert sum(each.count for each in facet.ranges) == len(prices)
