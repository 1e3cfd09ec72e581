"""Texts without HTML. Pure, and linear in the text's length, because shops send what they find."""

import html
import re
from typing import Final

_OPENING: Final = re.compile(r"<!--|<script\b|<style\b|<[/!?]?[a-z]", re.IGNORECASE)
_ENDS: Final = {
    "<!--": re.compile(r"-->"),
    "<script": re.compile(r"</script", re.IGNORECASE),
    "<style": re.compile(r"</style", re.IGNORECASE),
}
_TAG_END: Final = re.compile(r"[<>]")
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
            text = _without_tags(text)
        if "&" not in text:
            break
        text = html.unescape(_ENDLESS_NUMBER.sub(" ", text))
    return _without_tags(text) if "<" in text else text


def _without_tags(text: str) -> str:
    """No character is looked at twice: where something begins, it also ends, or goes on to the end
    of the text, as in a browser.
    """
    kept: list[str] = []
    at = 0
    while opening := _OPENING.search(text, at):
        kept.append(text[at : opening.start()])
        end = _ENDS.get(opening[0].lower(), _TAG_END).search(text, opening.end())
        if end and end[0] == "<":  # no tag: another one begins before it has ended
            kept.append(text[opening.start() : end.start()])
            at = end.start()
        else:
            kept.append(" ")
            at = _after(text, end)
    kept.append(text[at:])
    return "".join(kept)


def _after(text: str, end: re.Match[str] | None) -> int:
    if end is None:
        return len(text)
    # What ends a script or a style is a tag itself.
    return end.start() if end[0].startswith("</") else end.end()
