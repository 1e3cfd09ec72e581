"""Strings without case and accents."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models.folding import fold

SAME = [
    ("acme", "ACME", "Acme", "aCMe"),
    ("legere", "Légère", "LÉGÈRE", unicodedata.normalize("NFD", "légère"), "légèrE"),
    ("strasse", "Straße", "STRASSE", "STRAẞE"),
    ("istanbul", "İstanbul", "ISTANBUL", "ıstanbul", "i̇stanbul"),
    ("σοφος", "ΣΟΦΟΣ", "Σοφός", "σοφοσ"),
    ("fine", "ﬁne", "ＦＩＮＥ", "ｆｉｎｅ", "𝐅𝐢𝐧𝐞"),
    ("oeuvre", "Œuvre", "œuvre"),
    ("smorrebrod", "Smørrebrød", "SMØRREBRØD"),
    ("lodz", "Łódź", "łódź"),
    ("елка", "Ёлка", "ЕЛКА"),
    ("كتاب", "كِتَاب", "كـتـاب"),
    ("שלום", "שָׁלוֹם"),
    ("가방", unicodedata.normalize("NFD", "가방")),
    ("カバン", "ｶﾊﾞﾝ", unicodedata.normalize("NFD", "カバン")),
    ("10", "１０", "⑩"),
    ("a b", "A\u00a0B", "Ａ\u3000Ｂ", " a  b ", "A\t\nB"),
    ("cooperate", "co\u00adoperate", "co\u200boperate", "\ufeffcooperate"),
    ("ij", "Ĳ", "ĳ"),
    ("ha", "ẖa", "Ha"),
]
DIFFERENT = [
    ("か", "が"),
    ("ไกล", "ใกล้"),
    ("कमल", "कमला"),
    ("a", "b"),
    ("a b", "ab"),
    ("o", "0"),
    ("acme", "acmé 2"),
]


@pytest.mark.parametrize("texts", SAME, ids=lambda texts: texts[0])
def test_strings_that_differ_by_case_accents_and_form_are_one(texts: tuple[str, ...]) -> None:
    assert len({fold(text) for text in texts}) == 1


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_words_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_every_character_folds_once_and_whatever_its_case_and_form() -> None:
    for code in [*range(0xD800), *range(0xE000, 0x20000, 3), *range(0xE0000, 0xE0200)]:
        character = chr(code)
        folded = fold(character)
        variants = [folded, character.upper(), character.lower(), character.casefold()]
        variants += [unicodedata.normalize(form, character) for form in ("NFC", "NFD", "NFKC")]
        for variant in variants:
            assert fold(variant) == folded, hex(code)


@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_a_composed_text_is_the_same_as_a_decomposed_one(text: str) -> None:
    assert fold(unicodedata.normalize("NFC", text)) == fold(unicodedata.normalize("NFD", text))
