"""Codes: ids, SKUs, GTINs, part numbers, and what in a name looks like one. Pure.

They are compared by their letters and digits in lower case, because nobody types the dashes as they
are printed. A product's list holds its codes, and their beginnings behind a `^`, because a keyword
index knows equality alone.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from shared.models.folding import fold
from shared.models.product import Product

MIN_PREFIX: Final = 4
"""Characters of the shortest beginning that is looked for, and of a code that answers alone."""

MAX_PREFIX: Final = 16
"""Characters of the longest: a GTIN has 14. Of a longer beginning these are compared."""

MAX_CODE: Final = 128
"""Characters of a code, as of an id."""

MAX_NAME_CODES: Final = 16
"""Codes of one product's name."""

_FIELDS: Final = ("id", "sku", "gtin", "mpn")
_NAMES: Final = ("name", "mpn")
"""Fields that may be prose with codes in it: many shops put a name where the part number goes."""

_SIGNS: Final = re.compile("[™℠®©]")
_BETWEEN: Final = re.compile(r"[\s,;|()\[\]\"]+")
_DIGIT: Final = re.compile(r"[0-9]")
_MEASURE: Final = re.compile(
    r"(?:[0-9]{1,5}x)*(?:[0-9]{1,5}(?:mm|cm|dm|km|in|inch|ft|kg|mg|lbs?|oz|ml|cl|kb|mb|gb|tb|mah|ah"
    r"|wh|kw|va|hz|khz|mhz|ghz|dpi|fps|rpm|pcs?|packs?|er|st|nd|rd|th|eme)"
    r"|[0-9]{1,4}w|[0-9]{1,3}[mglvkxd])"
    r"|(480|720|1080|1440|2160)[ip]|[0-9]+x[0-9]+"
)
"""1080p, 256GB, 10cm, 2x500ml: they begin or are many a product's name, and few codes. Four digits
and one letter, as in 7140M, are rather a code."""

_YEAR: Final = 4
"""Digits of a number in a name that is a size or a year rather than a code."""

_SHORT: Final = 3
"""Letters of the longest group without a digit that a code's beginning has, if it has several."""


class Code(NamedTuple):
    """A query, read as a code.

    `folded`: its letters and digits, which products' codes may equal. `certain`: such a product is
    what was meant, so nothing but words need be asked. `by_prefix`: it may be a code's beginning.
    """

    folded: str
    certain: bool
    by_prefix: bool


def fold_code(text: str) -> str:
    """The letters and digits of a text, without case and accents."""
    folded = text.lower() if text.isascii() else fold(_SIGNS.sub("", text))
    return folded if folded.isalnum() else "".join(filter(str.isalnum, folded))


def codes_of(product: Product) -> tuple[str, ...]:
    """The entries of a product's list, each once: its codes, and their beginnings."""
    codes: dict[str, bool] = {}  # and whether it is found by its beginning, too
    for field in _FIELDS:
        written = getattr(product, field, None)
        if written and (code := fold_code(written)[:MAX_CODE]):
            codes[code] = not _is_prose(written)
            if field == "gtin":
                codes[code.lstrip("0") or code] = True
    codes |= dict.fromkeys(islice(_in_names(product), MAX_NAME_CODES), True)
    beginnings = [
        f"^{code[:length]}"
        for code, by_prefix in codes.items()
        if by_prefix
        for length in range(MIN_PREFIX, min(len(code), MAX_PREFIX + 1))
    ]
    return tuple(dict.fromkeys([*codes, *beginnings]))


def code_of_query(text: str, *, known: bool) -> Code | None:
    """The query as a code; None if it has no letter or digit, or too many for a code.

    `known`: without spaces and dashes it is a word of the catalogue. One that isn't may begin a
    code although it has no digit.
    """
    folded = fold_code(text)
    if not 0 < len(folded) <= MAX_CODE:
        return None
    like_one = len(folded) >= MIN_PREFIX and not _MEASURE.fullmatch(folded)
    groups = text.split()
    if _DIGIT.search(folded):
        # "size 10 red shirt" and "windows 10" begin many a product's name.
        begins = like_one and (len(groups) == 1 or not any(map(_is_word, groups)))
        return Code(folded, like_one, begins)
    return Code(folded, False, like_one and len(groups) == 1 and not known)


def exact_terms(code: str) -> tuple[str, ...]:
    """The entries of lists that stand for this folded code. A GTIN is one with or without the
    zeros before it (UPC-A, EAN-13, GTIN-14)."""
    if code.isdecimal() and 8 <= len(code) <= 14 and code[0] == "0":
        return code, code.lstrip("0") or code
    return (code,)


def prefix_terms(code: str) -> tuple[str, ...]:
    """The entries of lists that stand for codes that begin so."""
    return tuple(f"^{form[:MAX_PREFIX]}" for form in exact_terms(code))


def _in_names(product: Product) -> Iterator[str]:
    for field in _NAMES:
        for token in filter(_DIGIT.search, _BETWEEN.split(getattr(product, field, None) or "")):
            for part in dict.fromkeys([token, *token.split("/")]) if "/" in token else [token]:
                code = fold_code(part)[:MAX_CODE]
                number = code.isdecimal() and len(code) <= _YEAR
                if len(code) >= MIN_PREFIX and not number and not _MEASURE.fullmatch(code):
                    yield code


def _is_prose(written: str) -> bool:
    return sum(map(_is_word, written.split())) > 1


def _is_word(group: str) -> bool:
    return len(group) > _SHORT and not _DIGIT.search(group)
