"""Texts as words. Pure, and linear in the text's length.

A *compound* is what stands between spaces: `t-shirt`, `l'été`, `10.5`. It has
parts (`t`, `shirt`) and solid forms (`tshirt`), and whoever types either shall find both.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from shared.models.folding import drop_invisible
from shared.words.markup import without_markup

MAX_WORD: Final = 40
"""Characters of a word that count. The longest words of dictionaries have fewer; web addresses and
Base64 have more, and a query for one of them is cut in the same place."""

_CHUNK: Final = 4 * MAX_WORD
"""Characters of a compound that are looked at together: only Chinese, Japanese and Thai clauses
have more, so cached entries stay small."""

_NO_WORDS: Final = str.maketrans(dict.fromkeys("™℠®©", " ") | {"_": "-"})
"""Signs that Unicode's compatibility forms would turn into letters: Core™2 is no CoreTM2."""

_MARKS: Final = "".join(
    chr(code) for code in range(0x300, 0x1E950) if unicodedata.category(chr(code))[0] == "M"
)
"""Vowels of Thai and Indian scripts, among others; `\\w` has letters and digits alone."""

_W: Final = rf"[\w{_MARKS}]"
_JOINING: Final = r"[-‐–'’ʼ‘`&.]|(?<=\d),(?=\d)"


def _joined(sign: str) -> re.Pattern[str]:
    return re.compile(  # linear: no sign both joins and is part of a word
        rf"{sign}+(?:(?:{_JOINING}){sign}+)*"
    )


_COMPOUND: Final = _joined(_W)
_ASCII_COMPOUND: Final = _joined("[a-zA-Z0-9]")
"""Finds the same in a text in ASCII, in less time, because `_W` lists two thousand marks."""

_JOINT: Final = re.compile(r"[-‐–&]|(?<!\d)[.,]|[.,](?!\d)")
"""What joins the parts of a compound: dots and commas too, unless digits stand on both sides."""

_APOSTROPHE: Final = re.compile("['’ʼ‘`]")
_ELIDED: Final = re.compile(
    "[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quoiqu|dell|all|nell|sull|dall|quell|bell|un", re.IGNORECASE
)
"""French, Italian and Catalan words that lose their end before a vowel. They say nothing."""

_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts without spaces: Thai, Lao, Burmese, Khmer, Japanese's and Chinese's."""
_RUNS: Final = re.compile(  # linear: each row of marks is begun with once, not at each mark
    f"(?<![{_MARKS}])[{_MARKS}]*[{_UNSPACED}][{_UNSPACED}{_MARKS}]*"
)


class Compound(NamedTuple):
    """What stands between spaces, in lower case.

    `solids` are whole forms beside the parts. Of a script that puts no spaces between words the
    parts are pairs of neighbouring characters, and `characters` the single ones. `words`: all of
    these. `single`: the word of a compound that is one word of a script with spaces.
    """

    parts: tuple[str, ...]
    solids: tuple[str, ...]
    characters: tuple[str, ...]
    words: tuple[str, ...]
    single: str | None


def _compound(
    parts: tuple[str, ...], solids: tuple[str, ...] = (), characters: tuple[str, ...] = ()
) -> Compound:
    single = parts[0] if len(parts) == 1 and not characters else None
    return Compound(parts, solids, characters, parts + solids + characters, single)


def compounds(text: str) -> Iterator[Compound]:
    """The compounds of a text, in order."""
    text = without_markup(text)
    if not text.isascii():
        text = drop_invisible(unicodedata.normalize("NFKC", text.translate(_NO_WORDS)))
    elif "_" in text:
        text = text.replace("_", "-")
    pattern = _ASCII_COMPOUND if text.isascii() else _COMPOUND
    for match in pattern.finditer(text):
        written = match[0]
        if len(written) <= _CHUNK:
            yield from _analysed(written)
            continue
        for at in range(0, len(written), _CHUNK):
            yield from _analysed(written[at : at + _CHUNK])


def _analysed(written: str) -> tuple[Compound, ...]:
    # Long ones, and those of scripts without spaces, take kilobytes each and seldom come again.
    is_common = len(written) <= MAX_WORD and written.isascii()
    return _analysed_once(written) if is_common else _analysed_once.__wrapped__(written)


@lru_cache(maxsize=65_536)
def _analysed_once(written: str) -> tuple[Compound, ...]:
    if written.isascii() and written.isalnum() and (written.islower() or written.isdigit()):
        return (_compound((written[:MAX_WORD],)),)  # most are
    found: list[Compound] = []
    end = 0
    for run in _RUNS.finditer(written):
        found += _spaced(written[end : run.start()])
        found.append(_pairs(run[0]))
        end = run.end()
    return (*found, *_spaced(written[end:]))


def _pairs(run: str) -> Compound:
    run = run.lower()
    pairs = tuple(dict.fromkeys(run[at : at + 2] for at in range(max(1, len(run) - 1))))
    return _compound(pairs, characters=tuple(dict.fromkeys(run)))


def _spaced(written: str) -> Iterator[Compound]:
    parts: list[str] = []
    solids: list[str] = []
    for joined in filter(None, _JOINT.split(written)):
        kept = _without_elision(joined)
        if len(kept) != 1 or kept[0] != joined:
            solids.append(_APOSTROPHE.sub("", joined))
        parts += kept
    if len(parts) > 1 and not all(map(is_number, parts)):
        solids.insert(0, "".join(parts))
    if parts:
        # A solid form that would have to be cut is nobody's word.
        solids = [solid for solid in solids if len(solid) <= MAX_WORD]
        yield _compound(_lower(parts), _lower(solids))


def _without_elision(written: str) -> list[str]:
    """The parts around apostrophes, without elided articles (l') and the English possessive."""
    parts = [part for part in _APOSTROPHE.split(written) if part]
    while len(parts) > 1 and _ELIDED.fullmatch(parts[0]):
        del parts[0]
    if len(parts) > 1 and parts[-1] in ("s", "S"):
        del parts[-1]
    return parts


def _lower(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower().replace(",", ".")[:MAX_WORD] for word in words)


def is_number(word: str) -> bool:
    """Whether a word is of digits alone, maybe with a point: 10.5."""
    return word.replace(".", "").isdigit()


def short_pair(first: str, second: str) -> bool:
    """Whether two neighbours are often written as one: T Shirt, wi fi, 256 GB, iPhone 12."""
    if not first.isalpha():
        return len(second) <= 4 and second.isalpha() and is_number(first)  # a unit
    if second.isalpha():
        return min(len(first), len(second)) == 1 or max(len(first), len(second)) == 2
    return min(len(first), len(second)) <= 3 and is_number(second)
