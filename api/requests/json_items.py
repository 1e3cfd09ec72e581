"""A JSON document of which one item is no JSON: the others are read all the same.

Items are cut out by their brackets and strings alone, so that whatever else is wrong with one (a
lone surrogate, a byte that is no UTF-8, a raw control character, NaN) stays within it. Each
expression is possessive: it goes over the text once and never back.
"""

import re
from typing import Any, Final

from pydantic_core import from_json

from api.requests.bodies import MAX_PRODUCT_BYTES

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_TO_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|%s)*+([\[\]{}])' % _STRING, re.DOTALL)
_TO_MARK: Final = re.compile(rb'(?:[^"\[\]{},]++|%s)*+([\[\]{},])' % _STRING, re.DOTALL)
_TO_ID: Final = re.compile(
    rb'(?:[^"\[\]{}]++|"(?!id"\s{0,9}+:)(?:[^"\\]++|\\.)*+")*+(?:"id"\s*+:\s*+(%s)|([\[\]{}]))'
    % _STRING,
    re.DOTALL,
)

_ITEM_DEPTH: Final = 2
"""Brackets around an item: those of the document, and those of its list."""

_STRETCH: Final = MAX_PRODUCT_BYTES
"""Bytes without a bracket that are gone over at once, more than a product can have: matching holds
the interpreter."""

_MAX_LOOKED_AT: Final = 1000
"""Brackets and ids that are gone over for an item's id."""


def cut_items(body: bytes, most: int) -> tuple[Any, list[bytes]]:
    """The document with each item's number in its place, and the items' texts by number.

    Raises ValueError where the document can't be read even so, OverflowError beyond `most` items.
    """
    frame, items = [], list[bytes]()
    depth = at = kept = start = values = 0
    while True:
        match = (_TO_MARK if depth == _ITEM_DEPTH else _TO_BRACKET).match(body, at, at + _STRETCH)
        if match is None:
            raise ValueError("the brackets or quotes do not match")
        mark, at = match[1], match.end()
        if depth == _ITEM_DEPTH and mark in b"]},":
            item = body[start : at - 1]
            if item.strip():
                frame += [body[kept:start], b"%d" % len(items)]
                items.append(item)
                kept = at - 1
            elif mark == b"," or body[start - 1 : start] == b",":
                raise ValueError("there is nothing between two commas")
            if len(items) > most:
                raise OverflowError
            start, values = at, 0
        if mark in b"[{":
            depth += 1
            values += depth == _ITEM_DEPTH + 1
            if values > 1:
                raise ValueError("a comma is missing between two items")
            if depth == _ITEM_DEPTH:
                start, values = at, 0
        elif mark in b"]}":
            depth -= 1
        if depth <= 0:
            return from_json(b"".join([*frame, body[kept:]]), allow_inf_nan=False), items


def named_id(item: bytes) -> str | None:
    """The `id` of an item that is no JSON, where it can be told."""
    depth = at = 0
    for _ in range(_MAX_LOOKED_AT):
        match = _TO_ID.match(item, at, at + _STRETCH)
        if match is None:
            return None
        at = match.end()
        if match[2]:
            depth += 1 if match[2] in b"[{" else -1
        elif depth == 1:
            try:
                return str(from_json(match[1]))
            except ValueError:
                return None
    return None
