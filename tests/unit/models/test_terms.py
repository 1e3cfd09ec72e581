"""What filters compare of a product."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models.search.filters import AnyOf, Filters
from shared.models.terms import MARK, attribute_term, field_term, terms_of

ONE = [
    [20, 20.0],
    [0, 0.0, -0.0],
    [2**53 - 1, float(2**53 - 1)],
    [11.12, 11.120000000000001],
    ["red", "RED", "Réd"],
]
APART = [1, 1.5, "1", True, "true", False, 0, "false", "", "1.5", 1e15, 1e-15, "x" * 65, "x" * 66]


@pytest.mark.parametrize("values", ONE)
def test_values_that_are_the_same_have_one_term(values: list[Any]) -> None:
    assert len({attribute_term("a", value) for value in values}) == 1


def test_values_of_other_kinds_have_other_terms() -> None:
    assert len({attribute_term("a", value) for value in APART}) == len(APART)


@given(
    st.tuples(st.text('a=\\":.', min_size=1), st.text()),
    st.tuples(st.text('a=\\":.', min_size=1), st.text()),
)
def test_a_name_never_runs_into_its_value(one: tuple[str, str], other: tuple[str, str]) -> None:
    same = one[0] == other[0] and field_term("x", one[1]) == field_term("x", other[1])
    assert (attribute_term(*one) == attribute_term(*other)) is same


def test_no_attribute_is_taken_for_a_field_or_for_the_mark() -> None:
    fields = {"category": "a", "attributes": {"category": "a", "terms": 1}}
    assert terms_of(fields) == [
        MARK,
        "category\ta",
        "availability\tin_stock",
        "attributes\tcategory\tstring\ta",
        "attributes\tterms\tnumber\t1",
    ]


def test_each_term_is_there_once_and_a_list_has_its_members() -> None:
    terms = terms_of({"category": None, "attributes": {"size": ["S", "s", "M"], "none": []}})
    of_sizes = ["attributes\tsize\tstring\ts", "attributes\tsize\tstring\tm"]
    assert terms == [MARK, "availability\tin_stock", *of_sizes]


def test_a_long_value_is_kept_short_and_still_found() -> None:
    long = "Ein sehr langer Text, " * 40
    term = attribute_term("material", long)
    assert len(term) < 80
    assert term == attribute_term("material", long.upper())
    assert term != attribute_term("material", long + "!")


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(-1e15, 1e15),
    st.text(max_size=80),
)


@given(SCALARS, st.lists(SCALARS, min_size=1, max_size=8))
def test_a_product_is_admitted_by_the_values_that_it_is_found_by(held: Any, asked: Any) -> None:
    filters = Filters(attributes={"a": asked})
    fields = {"attributes": {"a": held}}
    (condition,) = filters.conditions()
    assert isinstance(condition, AnyOf)
    assert filters.admits(fields) is (attribute_term("a", held) in condition.terms)
    assert Filters(attributes={"a": held}).admits(fields)


PATHS = ["Women", "women > dresses", "Women>Dresses > MAXI"]


@pytest.mark.parametrize(
    "spelt", ["Women > Dresses > Maxi", "women>dresses>maxi", " WÓMEN >Dresses> Maxi >"]
)
def test_a_category_is_found_by_each_path_that_leads_to_it(spelt: str) -> None:
    terms = terms_of({"category": spelt})
    assert [field_term("category", path) in terms for path in PATHS] == [True] * 3
    for other in ("Dresses", "Women > Maxi", "Wo", "Women > Dresses > Maxi > Red"):
        assert field_term("category", other) not in terms


@pytest.mark.parametrize("category", [">", " > > ", "> >"])
def test_a_category_of_no_step_is_one_all_the_same(category: str) -> None:
    assert field_term("category", category) in terms_of({"category": category})
