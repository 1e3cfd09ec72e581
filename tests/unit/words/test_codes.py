"""Tests of `shared.words.codes`: how typed codes meet those of products."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models.product import Product
from shared.words.codes import (
    MAX_CODE,
    MAX_PREFIX,
    MIN_PREFIX,
    code_of_query,
    codes_of,
    exact_terms,
    fold_code,
    prefix_terms,
)


def codes(**fields: str) -> set[str]:
    return set(codes_of(Product(**{"id": "!", "name": "x", "image_url": "http://a/b"} | fields)))


@pytest.mark.parametrize(
    "typed",
    [
        "DV7-1211ea",
        "dv7-1211ea",
        "dv7 1211ea",
        "DV71211EA",
        "dv7.1211/ea",
        "dv7–1211_ea",
        " dv7 1211 ea",
    ],
)
def test_a_code_is_met_however_it_is_typed(typed: str) -> None:
    code = code_of_query(typed, known=True)
    assert code is not None
    assert code.certain
    for held in (codes(id="DV7-1211ea"), codes(name="HP Pavilion dv7-1211ea (17)")):
        assert held.intersection(exact_terms(code.folded))


@pytest.mark.parametrize("length", range(MIN_PREFIX, 9))
def test_a_code_is_met_by_its_beginning(length: int) -> None:
    code = code_of_query("dv71211ea"[:length], known=False)
    assert code is not None
    assert code.by_prefix
    assert codes(id="DV7-1211ea").intersection(prefix_terms(code.folded))


@pytest.mark.parametrize(
    "typed",
    ["red shirt", "size 10 red shirt", "windows 10", "ps4", "10", "256GB", "1080p", "10 cm"],
)
def test_a_query_in_words_is_no_beginning_of_a_code(typed: str) -> None:
    code = code_of_query(typed, known=True)
    assert code is not None
    assert not code.by_prefix


@pytest.mark.parametrize("name", ["Lens 7140M", "Battery 1561DS", "Lamp 34473L", "Cable 20013V"])
def test_a_long_number_with_a_letter_is_a_code_although_the_letter_is_a_unit(name: str) -> None:
    code = fold_code(name.split()[1])
    assert code in codes(name=name)
    read = code_of_query(code, known=True)
    assert read is not None
    assert read.certain


@pytest.mark.parametrize(
    "name", ["iPhone 12 2019", "SSD 256GB", "TV 1080p 1920x1080", "Size 10", "PS4"]
)
def test_sizes_years_and_measures_of_a_name_are_no_codes(name: str) -> None:
    assert codes(name=name) == set()


def test_a_word_that_the_catalogue_lacks_may_begin_a_code() -> None:
    for known in (True, False):
        code = code_of_query("tl-wa", known=known)
        assert code is not None
        assert code.by_prefix is not known


@pytest.mark.parametrize("typed", ["0095205603217", "095205603217", "95205603217"])
def test_a_gtin_is_met_with_and_without_the_zeros_before_it(typed: str) -> None:
    held = {"0095205603217", "95205603217"}
    assert held.intersection(exact_terms(typed))


def test_prose_has_no_beginnings() -> None:
    assert not any(code.startswith("^") for code in codes(id="Waste toner container, large"))


@pytest.mark.parametrize("typed", ["", "?!", "x" * (MAX_CODE + 1)])
def test_what_can_be_no_code_is_none(typed: str) -> None:
    assert code_of_query(typed, known=True) is None


@given(st.text(min_size=1, max_size=128), st.text(min_size=1, max_size=512))
def test_lists_are_bounded_whatever_the_text(id_: str, name: str) -> None:
    product = Product.model_construct(id=id_, name=name, image_url="http://a/b")
    made = codes_of(product)
    assert len(made) == len(set(made)) <= 18 * (1 + MAX_PREFIX - MIN_PREFIX + 1)
    assert all(0 < len(code) <= MAX_CODE for code in made)


@given(st.text(max_size=200))
def test_folding_a_code_twice_changes_nothing(text: str) -> None:
    assert fold_code(fold_code(text)) == fold_code(text)
