"""Codes as shoppers type them: in four spellings, and only their beginning."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.relevance.scores import at_least, at_most
from benchmarks.relevance.shops import Product, Shop
from benchmarks.results import Row

_COUNT: Final = 300
_CODE: Final = re.compile(r"[A-Za-z0-9]+(?:[-./][A-Za-z0-9]+)*")
_LEAST_SIGNS: Final = 5
_LEAST_BEGINNING: Final = 4
_LEFT_OUT: Final = 2
"""Characters that are missing from a code whose beginning is asked for."""

SPELLINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "as printed": lambda code: code,
    "in lower case": lambda code: code.lower(),
    "with spaces": lambda code: re.sub(r"[-./]", " ", code),
    "without dashes": lambda code: folded(code).upper(),
}
"""As shoppers type a code."""


def measure(shop: Shop, catalogue: Sequence[Product], name: str) -> list[Row]:
    """How often the product with the code comes first, and what it cost."""
    owners = owners_of(catalogue)
    asked = random.Random(3).sample(sorted(owners), min(_COUNT, len(owners)))
    _found(shop, asked[0], 1)
    shop.wait_until_no_text_is_embedded()  # the names by which the noise floor is measured
    texts_before = shop.texts_embedded()
    rows = []
    for spelling, spell in SPELLINGS.items():
        first = [_found(shop, spell(code), 1) & owners[code] for code in asked]
        rows.append(at_least(f"{name}: codes {spelling}, found first", _share(first), 0.99))
    embedded = shop.texts_embedded() - texts_before
    rows.append(at_most(f"{name}: texts embedded for these codes", embedded, 0))
    begun = {code[:-_LEFT_OUT]: owners[code] for code in asked if _says_enough(code, owners)}
    in_ten = [
        _found(shop, beginning, 10, group=False) & meant for beginning, meant in begun.items()
    ]
    rows.append(
        at_least(
            f"{name}: codes without their last {_LEFT_OUT} characters, found in ten",
            _share(in_ten),
            0.95,
            note=f"{len(begun)} of {len(asked)} codes: beginnings of {_LEAST_BEGINNING} or more "
            "letters and digits, shared by ten products at most",
        )
    )
    return rows


def _says_enough(code: str, owners: Mapping[str, set[str]]) -> bool:
    """Whether ten results can hold all products with codes that begin as this one does."""
    beginning = folded(code[:-_LEFT_OUT])
    same = (meant for other, meant in owners.items() if folded(other).startswith(beginning))
    return len(beginning) >= _LEAST_BEGINNING and len(set().union(*same)) <= 10


def folded(code: str) -> str:
    """Letters and digits alone, in lower case."""
    return re.sub(r"[^a-z0-9]", "", code.lower())


def owners_of(catalogue: Sequence[Product]) -> Mapping[str, set[str]]:
    """The products of each code that is one at first sight: with a digit and without spaces."""
    by_folded: dict[str, set[str]] = {}
    printed: dict[str, str] = {}
    for product in catalogue:
        for code in (product.get("sku"), product.get("mpn")):
            if code and len(folded(code)) >= _LEAST_SIGNS and _looks_like_code(code):
                by_folded.setdefault(folded(code), set()).add(product["id"])
                printed.setdefault(folded(code), code)
    return {printed[each]: owners for each, owners in by_folded.items()}


def _looks_like_code(text: str) -> bool:
    return bool(_CODE.fullmatch(text)) and any(sign.isdigit() for sign in text)


def _found(shop: Shop, query: str, count: int, group: bool = True) -> set[str]:
    answer = shop.api.search({"text_query": query, "top_k": count, "group": group})
    return {result["product_id"] for result in answer["results"]}


def _share(found: Sequence[set[str]]) -> float:
    return sum(map(bool, found)) / len(found)
