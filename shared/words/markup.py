"""Texts without HTML. Pure, and linear in the text's length, because shops send what they find."""

import html
import re
from typing import Final

_MARKUP: Final = re.compile(
    # A comment, script or style that nobody closes goes on to the end, as in a browser. So each
    # alternative succeeds where it begins, and no character is looked at twice.
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<element>script|style)\b.*?(?:</(?P=element)[^>]*>?|\Z)"
    r"|<[/!?]?[a-z][^<>]*(?:>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_ENDLESS_NUMBER: Final = re.compile(r"&#[0-9]{8,};?")
"""More digits than a character has; `int` refuses thousands of them."""

_ROUNDS: Final = 2
"""Feeds often escape what was escaped already: `&lt;b&gt;`, `&amp;nbsp;`."""


def without_markup(text: str) -> str:
    """The text without tags, comments, scripts and styles, and with entities as characters.

    A tag ends a word, as `<br>` and `<li>` do. `5 < 6` is no tag.
    """
    for _ in range(_ROUNDS):
        if "<" in text:
            text = _MARKUP.sub(" ", text)
        if "&" not in text:
            break
        text = html.unescape(_ENDLESS_NUMBER.sub(" ", text))
    return _MARKUP.sub(" ", text) if "<" in text else text
