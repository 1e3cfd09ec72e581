"""The captions: true of their pictures, and right in both languages."""

import random

import pytest

from demo.model.captions import Mention, any_caption, french_phrase, full_caption, without_accents
from demo.model.combinations import (
    ALL_COMBINATIONS,
    COLOURS,
    GARMENTS,
    HELD_OUT,
    PATTERNS,
    TRAINING_COMBINATIONS,
    Combination,
)
from demo.model.vocabulary import (
    CATEGORY_GARMENTS,
    ENGLISH_COLOURS,
    ENGLISH_NOUNS,
    FRENCH_COLOURS,
    FRENCH_NOUNS,
)
from shared.embedding.demo_model.loading import demo_tokenizer

HELD_OUT_OF_BAGS = (
    ("bag", "orange", "checked"),
    ("bag", "purple", "striped"),
    ("bag", "red", "striped"),
    ("bag", "yellow", "dotted"),
    ("bag", "yellow", "plain"),
    ("bag", "yellow", "striped"),
)


def french_forms(garment: str, colour: str, pattern: str, *, plural: bool = False) -> set[str]:
    """Every way in which the garment's first French name is put with the colour and pattern."""
    noun = FRENCH_NOUNS[garment][0]
    rng = random.Random(1)
    return {french_phrase(noun, plural, colour, pattern, rng) for _ in range(60)}


@pytest.mark.parametrize(
    ("garment", "colour", "pattern", "plural", "expected"),
    [
        ("dress", "green", "dotted", False, "robe verte à pois"),
        ("dress", "blue", "dotted", False, "robe bleue à pois"),
        ("dress", "white", "striped", True, "robes blanches rayées"),
        ("skirt", "black", "plain", False, "jupe noire unie"),
        ("trousers", "black", "striped", False, "pantalon noir rayé"),
        ("trousers", "green", "checked", True, "pantalons verts à carreaux"),
        ("shirt", "red", "striped", False, "t-shirt rouge à rayures"),
        ("shoe", "purple", "plain", True, "chaussures violettes unies"),
        ("scarf", "orange", "dotted", True, "écharpes orange à pois"),
        ("hat", "brown", "plain", True, "chapeaux marron unis"),
    ],
)
def test_french_adjectives_agree_with_the_noun(
    garment: str, colour: str, pattern: str, plural: bool, expected: str
) -> None:
    assert expected in french_forms(garment, colour, pattern, plural=plural)


def test_no_french_form_mixes_genders() -> None:
    for phrase in french_forms("dress", "green", "striped"):
        words = phrase.split()
        assert "vert" not in words
        assert "rayé" not in words


def test_every_word_list_covers_everything_that_is_drawn() -> None:
    assert set(ENGLISH_NOUNS) == set(FRENCH_NOUNS) == set(GARMENTS)
    assert set(ENGLISH_COLOURS) == set(FRENCH_COLOURS) == set(COLOURS)
    assert sorted(kind for kinds in CATEGORY_GARMENTS.values() for kind in kinds) == sorted(
        GARMENTS
    )


def test_full_captions_name_garment_colour_and_pattern() -> None:
    rng = random.Random(2)
    for shown in ALL_COMBINATIONS[::7]:
        for language in ("en", "fr"):
            caption = full_caption(shown, language, rng)
            assert caption.mention == Mention((shown.garment,), shown.colour, shown.pattern)
            assert [each for each in ALL_COMBINATIONS if caption.mention.fits(each)] == [shown]


def test_every_caption_fits_its_own_picture() -> None:
    rng = random.Random(3)
    silent_on_pattern = 0
    for shown in ALL_COMBINATIONS:
        caption = any_caption(shown, "fr", rng)
        assert caption.mention.fits(shown)
        silent_on_pattern += caption.mention.pattern is None
    assert silent_on_pattern > len(ALL_COMBINATIONS) / 10


def test_captions_use_the_words_of_their_mention() -> None:
    rng = random.Random(4)
    shown = Combination("dress", "red", "striped")
    nouns = {form for noun in ENGLISH_NOUNS["dress"] for form in (noun.singular, noun.plural)}
    for _ in range(300):
        caption = any_caption(shown, "en", rng)
        words = set(caption.text.lower().strip("?!.").replace(",", "").split())
        assert ("red" in words) == (caption.mention.colour == "red")
        assert bool(nouns & words) == (caption.mention.garments == ("dress",))


def test_captions_vary_and_are_the_same_for_the_same_seed() -> None:
    shown = Combination("shirt", "red", "plain")
    texts = [full_caption(shown, "en", random.Random(seed)).text for seed in range(100)]
    assert len(set(texts)) > 50
    assert texts == [full_caption(shown, "en", random.Random(seed)).text for seed in range(100)]


def test_captions_fit_the_context_with_room_to_spare() -> None:
    rng = random.Random(5)
    tokenizer = demo_tokenizer()
    longest = max(
        len(tokenizer.encode(any_caption(rng.choice(ALL_COMBINATIONS), language, rng).text))
        for language in ("en", "fr")
        for _ in range(500)
    )
    assert longest <= tokenizer.context_length - 6


def test_accents_are_dropped_as_on_a_foreign_keyboard() -> None:
    assert without_accents("écharpe rayée à pois") == "echarpe rayee a pois"


def test_fifteen_percent_of_the_combinations_are_held_out() -> None:
    assert len(HELD_OUT) == round(0.15 * len(ALL_COMBINATIONS))
    assert HELD_OUT.isdisjoint(TRAINING_COMBINATIONS)
    assert HELD_OUT | set(TRAINING_COMBINATIONS) == set(ALL_COMBINATIONS)


def test_the_held_out_combinations_never_change() -> None:
    # The published weights have never seen these; with others they would be measured wrongly.
    assert {shown for shown in HELD_OUT if shown.garment == "bag"} == {
        Combination(*words) for words in HELD_OUT_OF_BAGS
    }


def test_every_word_is_seen_in_training() -> None:
    assert {shown.garment for shown in TRAINING_COMBINATIONS} == set(GARMENTS)
    assert {shown.colour for shown in TRAINING_COMBINATIONS} == set(COLOURS)
    assert {shown.pattern for shown in TRAINING_COMBINATIONS} == set(PATTERNS)
    pairs = {(shown.garment, shown.colour) for shown in TRAINING_COMBINATIONS}
    assert len(pairs) == len(GARMENTS) * len(COLOURS)
