"""Codes and garbled queries as shoppers type them."""

import re

from rapidfuzz.distance import OSA

from benchmarks.relevance import codes, garbled
from benchmarks.relevance.drawn import Naming, name_queries, products

CATALOGUE = products(Naming.FULL, "")


def test_four_spellings_of_a_code_fold_to_one() -> None:
    spelt = {name: spell("MH01-XS-Black") for name, spell in codes.SPELLINGS.items()}
    assert list(spelt.values()) == [
        "MH01-XS-Black",
        "mh01-xs-black",
        "MH01 XS Black",
        "MH01XSBLACK",
    ]
    assert {codes.folded(each) for each in spelt.values()} == {"mh01xsblack"}


def test_codes_are_what_looks_like_one_and_products_may_share_it() -> None:
    owners = codes.owners_of(
        [
            {"id": "a", "sku": "MH01-XS-Black", "mpn": "006R90321"},
            {"id": "b", "sku": "mh01xsblack", "mpn": "DB9 RS232 Serial Adapter"},
            {"id": "c", "sku": "Black", "mpn": "X-1"},
        ]
    )
    assert owners == {"MH01-XS-Black": {"a", "b"}, "006R90321": {"a"}}


def test_a_garbled_query_has_one_letter_wrong_in_a_word_that_becomes_unknown() -> None:
    right = garbled.garbled(name_queries(120), CATALOGUE)
    assert len(right) == 200
    known = set(re.findall(r"[a-z]+", " ".join(one["name"] for one in CATALOGUE).lower()))
    for wrong, query in right.items():
        words = zip(wrong.split(), query.split(), strict=True)
        ((typed, meant),) = [(one, other) for one, other in words if one != other]
        assert OSA.distance(typed, meant) == 1
        assert (meant in known, typed in known) == (True, False)
        assert min(len(typed), len(meant)) >= 4
