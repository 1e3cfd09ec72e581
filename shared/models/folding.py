"""Strings as filters compare them: without case, accents and superfluous white space. Pure.

Stored products keep the shop's spelling; only the copies that filters compare are folded.
"""

import re
import unicodedata
from typing import Final

_DROPPED: Final = re.compile(
    # Accents, and the points of Hebrew and Arabic that most texts leave out. Marks of other scripts
    # stay: they tell Japanese か from が and make up Thai and Indian words.
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f"
    # What nobody sees: soft hyphens, joiners, marks of direction, variation selectors.
    "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0100-\U000e01ef]+"
)

_LETTERS: Final = str.maketrans(
    {
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ħ": "h",
        "ı": "i",
        "ł": "l",
        "ŧ": "t",
        "þ": "th",
    }
)
"""Latin letters with an accent or ligature that Unicode doesn't take apart."""


def drop_invisible(text: str) -> str:
    """The text without characters that nobody sees, and without accents that stand apart from
    their letters."""
    return _DROPPED.sub("", text)


def fold(text: str) -> str:
    """The text without case, accents and differences of mere form: É, e and ｅ become `e`, ß `ss`,
    ﬁ `fi`, ς `σ`. White space around it goes, and runs of it become one space. Folding twice
    changes nothing more.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    # Unicode's compatibility caseless matching (chapter 3.13): folding case may make characters
    # that can be taken apart, and the other way round.
    apart = unicodedata.normalize("NFKD", text).casefold()
    apart = unicodedata.normalize("NFKD", apart).casefold()
    folded = unicodedata.normalize("NFKD", _DROPPED.sub("", apart).translate(_LETTERS))
    return " ".join(folded.split())
