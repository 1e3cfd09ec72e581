"""Tests of `shared.words.analyser`: what texts find each other, and what bounds them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models.product import Product
from shared.words.analyser import (
    MAX_QUERY_WORDS,
    MAX_TERMS,
    Analyser,
    QueryWords,
    needed,
    worded,
)
from shared.words.tokens import compounds
from shared.words.vocabulary import Vocabulary

ANALYSER = Analyser(["en", "fr"])


def product(**fields: Any) -> Product:
    return Product(**{"id": "p-1", "name": "Thing", "image_url": "http://a/b.jpg"} | fields)


def vocabulary(*products: Product) -> Vocabulary:
    counts: dict[str, int] = {}
    for one in products:
        for term in ANALYSER.of_product(one).terms:
            counts[term] = counts.get(term, 0) + 1
    return Vocabulary(counts)


def matches(query: QueryWords, one: Product) -> bool:
    terms = set(ANALYSER.of_product(one).terms)
    return bool(query.words) and query.needed <= sum(
        not terms.isdisjoint(word.terms) for word in query.words
    )


def found(text: str, **fields: Any) -> bool:
    """Whether a query finds a product with these fields, with and without a vocabulary."""
    one = product(**fields)
    answers = {matches(ANALYSER.of_query(text, known), one) for known in (None, vocabulary(one))}
    assert len(answers) == 1, answers
    return answers.pop()


SHIRTS = ("t-shirt", "tshirt", "T Shirt", "T-SHIRT", "T‑shirts", "t–shirt", "tshirts")


@pytest.mark.parametrize("typed", SHIRTS)
@pytest.mark.parametrize("name", SHIRTS)
def test_a_t_shirt_is_found_however_it_is_written(typed: str, name: str) -> None:
    assert found(typed, name=name)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("legere", "Robe légère"),
        ("légère", "Robe legere"),
        ("ete", "Robe d'été"),
        ("l'été", "Robe d’été"),
        ("d’été", "été"),
        ("robe d'été", "Robe été"),
        ("loreal", "L'Oréal Paris"),
        ("l oreal", "L’Oréal"),
        ("oreal", "L'Oréal"),
        ("mens shoe", "Men's shoes"),
        ("men's shoes", "Men shoe"),
        ("chemise", "Chemises"),
        ("batteries", "Battery"),
        ("GROSSE", "Größe"),
        ("größe", "Grösse"),
        ("coeur", "Cœur"),
        ("ｓｈｉｒｔ", "Shirt"),
        ("efﬁcient", "efficient"),
        ("10,5", "Size 10.5"),
        ("10.5", "Pointure 10,5"),
        ("iphone", "iPhone"),
        ("playstation", "PlayStation"),
        ("play station", "PlayStation"),
        ("wi-fi", "WiFi"),
        ("wifi", "Wi Fi"),
        ("wi fi", "Wi-Fi"),
        ("head set", "Headset"),
        ("headset", "head-set"),
        ("256gb", "SSD 256 GB"),
        ("256 gb", "SSD 256GB"),
        ("iphone12", "iPhone 12"),
        ("iphone 12", "iphone12"),
        ("core 2", "Intel® Core™2"),
        ("h&m", "H & M"),
        ("h m", "H&M"),
        ("usa", "Made in U.S.A."),
        ("node js", "Node.js"),
        ("shirt red", "red/shirt"),
        ("snake case", "snake_case"),
        ("m", "Shirt M"),
        ("S", "shirt s"),
        ("赤い", "赤いシャツ"),
        ("シャツ", "赤いシャツ"),
        ("赤", "赤いシャツ"),
        ("한국어", "한국어"),
        ("เสื้อ", "เสื้อสีแดง"),
        ("हिन्दी", "हिन्दी"),
        ("naïve", "nai\u0308ve"),
        ("softhyphen", "soft\u00adhyphen"),
    ],
)
def test_typed_words_find_what_is_written_otherwise(typed: str, name: str) -> None:
    assert found(typed, name=name)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("10", "Size 10.5"),
        ("105", "Size 10.5"),
        ("x", "Shirt XS"),
        ("s", "Men's shirt"),
        ("red shirt", "red shoes"),
        ("1012", "10-12"),
        ("か", "が"),
        ("...", "Thing ..."),
    ],
)
def test_other_words_find_nothing(typed: str, name: str) -> None:
    assert not found(typed, name=name)


@pytest.mark.parametrize(
    "field",
    [
        {"name": "blue"},
        {"category": "blue"},
        {"description": "blue"},
        {"attributes": {"color": "blue"}},
        {"attributes": {"color": ["red", "blue"]}},
    ],
    ids=str,
)
def test_each_field_is_searched(field: Mapping[str, Any]) -> None:
    assert found("blue", **field)


def test_neither_numbers_nor_booleans_among_attributes_are_words() -> None:
    before, after = ({"stock": stock, "new": stock > 3} for stock in (15, 2))
    assert worded(product(attributes=before)) == worded(product(attributes=after))
    assert not found("15", attributes=before)


@pytest.mark.parametrize(
    "change",
    [{"price": 5}, {"attributes": {"stock": 1}}, {"version": 7}, {"group_id": "g"}],
    ids=str,
)
def test_a_price_and_stock_change_no_words(change: Mapping[str, Any]) -> None:
    assert worded(product()) == worded(product(**change))
    assert ANALYSER.of_product(product()) == ANALYSER.of_product(product(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "p-2"},
        {"name": "Other"},
        {"description": "text"},
        {"category": "c"},
        {"attributes": {"color": "red"}},
    ],
    ids=str,
)
def test_a_text_changes_words(change: Mapping[str, Any]) -> None:
    assert worded(product()) != worded(product(**change))


@pytest.mark.parametrize(
    ("words", "least"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (30, 20)]
)
def test_two_words_are_needed_both_and_of_more_two_thirds(words: int, least: int) -> None:
    assert needed(words) == least


@pytest.mark.parametrize("typed", ["t-shirt", "tshirt", "batteries", "l'été", "wi-fi", "h&m"])
def test_forms_of_one_word_count_as_one(typed: str) -> None:
    query = ANALYSER.of_query(f"{typed} rouge", None)
    assert (len(query.words), query.needed) == (2, 2)


def test_a_word_that_is_typed_twice_counts_once() -> None:
    assert len(ANALYSER.of_query("red RED réd", None).words) == 1


def test_a_name_counts_more_than_a_description() -> None:
    name, description = (
        ANALYSER.of_product(product(**{"name": "x", field: "lamp"})).vector
        for field in ("name", "description")
    )
    asked = ANALYSER.of_query("lamp", None).vector.indices[0]
    values = [dict(zip(*vector, strict=True))[asked] for vector in (name, description)]
    assert values[0] > values[1]


def test_what_is_hidden_in_markup_is_not_found() -> None:
    text = "<p class='unseen'>alpha<br>beta</p><!-- gamma --><script>delta()</script>&eacute;psilon"
    for typed in ("alpha", "beta", "epsilon"):
        assert found(typed, description=text)
    for typed in ("unseen", "gamma", "delta", "class"):
        assert not found(typed, description=text)


def test_the_version_names_the_languages_and_stands_first_in_the_list() -> None:
    assert Analyser(["en"]).version != Analyser(["fr"]).version
    assert ANALYSER.of_product(product()).terms[0] == ANALYSER.mark
    assert ANALYSER.version in ANALYSER.mark


def test_a_language_with_marks_of_its_own_keeps_its_stems() -> None:
    russian = Analyser(["ru"])
    query = russian.of_query("красные", None)
    assert set(query.words[0].terms) & set(russian.of_product(product(name="Красный")).terms)


def test_without_languages_words_are_found_as_they_are() -> None:
    assert "shirts" in Analyser([]).of_product(product(name="Shirts")).terms


TEXTS = st.text(max_size=300) | st.text(alphabet="ab1.,-'&<> é赤い", max_size=300)


@given(TEXTS, TEXTS)
def test_vectors_and_lists_are_well_formed_whatever_the_text(name: str, description: str) -> None:
    made = ANALYSER.of_product(product(name=name or "x", description=description))
    assert list(made.vector.indices) == sorted(set(made.vector.indices))
    assert all(0 <= index < 2**32 for index in made.vector.indices)
    assert all(0 < value < 1 for value in made.vector.values)
    assert len(set(made.terms)) == len(made.terms) <= 2 * MAX_TERMS
    assert all(len(term) > 0 for term in (*made.terms, *made.codes))


@given(TEXTS)
def test_each_query_has_as_many_words_as_it_needs(text: str) -> None:
    query = ANALYSER.of_query(text, None)
    assert query.needed <= len(query.words) <= MAX_QUERY_WORDS
    assert all(word.terms for word in query.words)
    assert set(query.vector.values) <= {1.0}


@given(st.text(st.sampled_from("aS1,.'-&_<>; \t"), max_size=60))
def test_a_text_in_ascii_has_the_words_that_it_has_beside_other_letters(text: str) -> None:
    alone = list(compounds(text))
    assert list(compounds(f"{text} \u00e9"))[: len(alone)] == alone


@given(st.text(st.sampled_from("aS1,.'-& "), min_size=1, max_size=32))
def test_a_short_text_has_the_words_that_it_has_in_a_long_one(text: str) -> None:
    short, long = (product().model_copy(update={"brand": text + end}) for end in ("", " " * 40))
    assert ANALYSER.of_product(short) == ANALYSER.of_product(short) == ANALYSER.of_product(long)
