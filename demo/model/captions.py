"""Writes captions of a drawing, as shoppers and shops do, in English and French.

A caption may leave things out: "red dress" says nothing of the pattern. What it does say is in its
`Mention`, against which training and evaluation hold the pictures.
"""

import random
import unicodedata
from dataclasses import dataclass
from typing import Literal

from demo.model.combinations import Combination
from demo.model.vocabulary import (
    CATEGORY_GARMENTS,
    CATEGORY_WORDS,
    ENGLISH_COLOURS,
    ENGLISH_FRAMES,
    ENGLISH_NOUNS,
    ENGLISH_PATTERN_ADJECTIVES,
    ENGLISH_PATTERN_PHRASES,
    FRENCH_COLOURS,
    FRENCH_FRAMES,
    FRENCH_NOUNS,
    FRENCH_PATTERN_ADJECTIVES,
    FRENCH_PATTERN_PHRASES,
    Noun,
)

Language = Literal["en", "fr"]


@dataclass(frozen=True)
class Mention:
    """What a caption says; None if it is silent."""

    garments: tuple[str, ...] | None
    """One garment, or all those of a category."""
    colour: str | None
    pattern: str | None

    def fits(self, shown: Combination) -> bool:
        """Whether the caption is true of such a picture."""
        return (
            (self.garments is None or shown.garment in self.garments)
            and self.colour in (None, shown.colour)
            and self.pattern in (None, shown.pattern)
        )


@dataclass(frozen=True)
class Caption:
    """A text with what it says."""

    text: str
    mention: Mention
    language: Language


_BARE_SHARE = 0.45
"""Shoppers mostly type the bare words: this share of captions has no frame."""


def full_caption(shown: Combination, language: Language, rng: random.Random) -> Caption:
    """A caption that names garment, colour and pattern."""
    return _caption(shown.garment, shown.colour, shown.pattern, language, rng)


def any_caption(shown: Combination, language: Language, rng: random.Random) -> Caption:
    """A caption that is true of the picture and may leave out one or two of its attributes."""
    draw = rng.random()
    garment, colour, pattern = shown
    if draw < 0.60:
        return _caption(garment, colour, pattern, language, rng)
    if draw < 0.80:
        return _caption(garment, colour, None, language, rng)
    if draw < 0.87:
        return _caption(garment, None, pattern, language, rng)
    if draw < 0.92:
        return _caption(garment, None, None, language, rng)
    if draw < 0.95:
        return _category_caption(shown, language, rng)
    return _garmentless_caption(shown, language, rng)


def _caption(
    garment: str, colour: str | None, pattern: str | None, language: Language, rng: random.Random
) -> Caption:
    mention = Mention((garment,), colour, pattern)
    if language == "en":
        noun = rng.choice(ENGLISH_NOUNS[garment])
        plural = rng.random() < 0.25
        phrase = _english_phrase(noun, plural, colour, pattern, rng)
        text = _framed(phrase, ENGLISH_FRAMES, "some" if plural else _english_article(phrase), rng)
    else:
        noun = rng.choice(FRENCH_NOUNS[garment])
        plural = rng.random() < 0.25
        phrase = french_phrase(noun, plural, colour, pattern, rng)
        article = "des" if plural else ("une" if noun.feminine else "un")
        text = _framed(phrase, FRENCH_FRAMES, article, rng)
    return Caption(_typed(text, rng), mention, language)


def _english_article(phrase: str) -> str:
    return "an" if phrase[0] in "aeiou" else "a"


def _english_phrase(
    noun: Noun, plural: bool, colour: str | None, pattern: str | None, rng: random.Random
) -> str:
    name = noun.plural if plural else noun.singular
    before: list[str] = []
    after: list[str] = []
    if colour is not None:
        word = rng.choice(ENGLISH_COLOURS[colour])
        if rng.random() < 0.12:
            after.append(f"in {word}")
        else:
            before.append(word)
    if pattern is not None:
        if rng.random() < 0.2:
            after.append(rng.choice(ENGLISH_PATTERN_PHRASES[pattern]))
        else:
            before.append(rng.choice(ENGLISH_PATTERN_ADJECTIVES[pattern]))
    if rng.random() < 0.3:
        before.reverse()
    if rng.random() < 0.06:
        # Search boxes also see the words in any order.
        loose = [name, *before]
        rng.shuffle(loose)
        return " ".join([*loose, *after])
    return " ".join([*before, name, *after])


def french_phrase(
    noun: Noun, plural: bool, colour: str | None, pattern: str | None, rng: random.Random
) -> str:
    """Noun, colour and pattern with the adjectives agreeing, such as "robes rouges à pois"."""
    name = noun.plural if plural else noun.singular
    words: list[str] = []
    if colour is not None:
        adjective = rng.choice(FRENCH_COLOURS[colour])
        words.append(adjective.agreeing(feminine=noun.feminine, plural=plural))
    if pattern is not None:
        agreeing = FRENCH_PATTERN_ADJECTIVES.get(pattern)
        if agreeing is not None and rng.random() < 0.5:
            words.append(agreeing.agreeing(feminine=noun.feminine, plural=plural))
        else:
            words.append(rng.choice(FRENCH_PATTERN_PHRASES[pattern]))
    if rng.random() < 0.3:
        words.reverse()
    return " ".join([name, *words])


def _category_caption(shown: Combination, language: Language, rng: random.Random) -> Caption:
    """The shop's category instead of the garment, with or without the colour."""
    category = next(name for name, kinds in CATEGORY_GARMENTS.items() if shown.garment in kinds)
    word = rng.choice(CATEGORY_WORDS[category])
    colour = shown.colour if rng.random() < 0.5 else None
    text = word
    if colour is not None and language == "en":
        text = f"{rng.choice(ENGLISH_COLOURS[colour])} {word}"
    elif colour is not None:
        text = f"{word} {rng.choice(FRENCH_COLOURS[colour]).masculine_plural}"
    mention = Mention(CATEGORY_GARMENTS[category], colour, None)
    return Caption(_typed(text, rng), mention, language)


def _garmentless_caption(shown: Combination, language: Language, rng: random.Random) -> Caption:
    """Colour, pattern or both, without a garment."""
    _, colour, pattern = shown
    says_colour, says_pattern = rng.choice(((True, False), (False, True), (True, True)))
    if language == "en":
        words = [rng.choice(ENGLISH_COLOURS[colour])] if says_colour else []
        words += [rng.choice(ENGLISH_PATTERN_ADJECTIVES[pattern])] if says_pattern else []
        text = rng.choice(("{}", "something {}", "{} things")).format(" ".join(words))
    else:
        words = [rng.choice(FRENCH_COLOURS[colour]).masculine] if says_colour else []
        words += [rng.choice(FRENCH_PATTERN_PHRASES[pattern])] if says_pattern else []
        text = rng.choice(("{}", "quelque chose de {}")).format(" ".join(words))
    mention = Mention(None, colour if says_colour else None, pattern if says_pattern else None)
    return Caption(_typed(text, rng), mention, language)


def _framed(phrase: str, frames: tuple[str, ...], article: str, rng: random.Random) -> str:
    if rng.random() < _BARE_SHARE:
        return phrase
    frame = rng.choice(frames)
    # French elides only before a vowel: "une photo d'une robe" but "une photo de robes".
    if article == "des":
        frame = frame.replace("d'{a}", "de {}")
    return frame.format(phrase, a=f"{article} {phrase}")


def _typed(text: str, rng: random.Random) -> str:
    """The text as people type it: as it is, in capitals, or without accents."""
    draw = rng.random()
    if draw < 0.06:
        return text.title()
    if draw < 0.10:
        return text.upper()
    if draw < 0.16:
        return text.capitalize()
    if draw < 0.26:
        return without_accents(text)
    return text


def without_accents(text: str) -> str:
    """The same letters without their accents, as on a keyboard that has none."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
