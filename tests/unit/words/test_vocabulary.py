"""Tests of `shared.words.vocabulary` and of what the analyser corrects with it."""

import pytest

from shared.models.product import Product
from shared.words.analyser import TYPO, Analyser
from shared.words.sparse import dimension
from shared.words.vocabulary import Vocabulary

ANALYSER = Analyser(["en", "fr"])
KNOWN = {
    "shirt": 9,
    "short": 3,
    "batteri": 5,
    "batter": 5,
    "=batteries": 5,
    "red": 8,
    "usb": 4,
    "headphon": 2,
    "=headphones": 2,
    "keyboard": 3,
    ANALYSER.mark: 20,
    "ps4": 2,
    "12345": 1,
}


def corrected(text: str) -> dict[str, str]:
    return dict(ANALYSER.of_query(text, Vocabulary(KNOWN)).corrected)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("shrit", "shirt"),  # two swapped
        ("shir", "shirt"),  # one left out
        ("shirtt", "shirt"),  # one doubled
        ("shurt", "shirt"),  # one replaced
        ("SHRIT", "shirt"),
        ("shïrrt", "shirt"),
        ("battreies", "batteries"),  # a word, not its stem
        ("hedphnes", "headphones"),  # two edits
        ("keyborads", "keyboard"),
        ("redshirt", "red shirt"),  # the space left out
    ],
)
def test_an_unknown_word_is_looked_for_as_the_nearest_that_is_known(typed: str, meant: str) -> None:
    folded = {"SHRIT": "shrit", "shïrrt": "shirrt"}.get(typed, typed)
    assert corrected(typed) == {folded: meant}


@pytest.mark.parametrize("typed", ["shirt", "shirts", "short", "battery", "red", "ps4"])
def test_a_known_word_is_never_corrected(typed: str) -> None:
    assert corrected(typed) == {}


@pytest.mark.parametrize("typed", ["sub", "rde", "ps5", "12346", "shxxt", "sh1rt", "sdfsdflksdfj"])
def test_short_words_words_with_digits_and_far_ones_stay(typed: str) -> None:
    query = ANALYSER.of_query(typed, Vocabulary(KNOWN))
    assert query.corrected == {}
    assert query.unknown == (typed,)


def test_of_two_as_near_the_more_frequent_is_taken() -> None:
    assert corrected("shrt") == {"shrt": "shirt"}
    assert Vocabulary(KNOWN | {"short": 30}).nearest("shrt", edits=1) == ["short", "shirt"]


def test_a_corrected_word_weighs_less() -> None:
    query = ANALYSER.of_query("shrit red", Vocabulary(KNOWN))
    weights = dict(zip(*query.vector, strict=True))
    assert weights[dimension("shirt")] == TYPO
    assert weights[dimension("red")] == 1.0


def test_a_corrected_word_is_looked_for_as_typed_too() -> None:
    query = ANALYSER.of_query("shrit", Vocabulary(KNOWN))
    assert {"shirt", "shrit"} <= set(query.words[0].terms)


def test_without_a_vocabulary_nothing_is_corrected() -> None:
    query = ANALYSER.of_query("shrit", None)
    assert (query.corrected, query.unknown) == ({}, ())


def test_the_mark_is_no_word() -> None:
    assert Vocabulary({ANALYSER.mark: 9}).nearest("words", edits=1) == []


def test_an_empty_catalogue_knows_nothing() -> None:
    query = ANALYSER.of_query("red shirt", Vocabulary({}))
    assert query.unknown == ("red", "shirt")


@pytest.mark.parametrize("typed", ["caera", "camra", "caaera"])
def test_a_slip_whose_stem_happens_to_be_a_word_is_corrected(typed: str) -> None:
    known = {"camera": 4, "camer": 4, "ca": 14, "caa": 1}
    assert ANALYSER.of_query(typed, Vocabulary(known)).corrected == {typed: "camera"}


@pytest.mark.parametrize("field", ["name", "description"])
@pytest.mark.parametrize("word", ["running", "gaing", "does", "using", "tied", "shirts", "etees"])
@pytest.mark.parametrize("languages", [["en"], ["fr"], ["en", "fr"], []], ids=str)
def test_each_word_of_a_product_is_known(field: str, word: str, languages: list[str]) -> None:
    analyser = Analyser(languages)
    product = Product(**{"id": "p", "name": "x", "image_url": "http://a/b"} | {field: word})
    known = Vocabulary(dict.fromkeys(analyser.of_product(product).terms, 1) | {"ruining": 9})
    query = analyser.of_query(word, known)
    assert (query.corrected, query.unknown) == ({}, ())
