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
_TEXT: Final = rb'[^"\[\]{}]++|' + _STRING
_LIST: Final = rb"[\[{](?:%s)*+[\]}]" % _TEXT
_ATTRIBUTES: Final = rb"[\[{](?:%s|%s)*+[\]}]" % (_TEXT, _LIST)
_PRODUCT: Final = rb"[\[{](?:%s|%s)*+[\]}]" % (_TEXT, _ATTRIBUTES)
"""Brackets within brackets, as deep as products have them: an expression passes them in a tenth of
the time that a step for each bracket takes."""

_TO_BRACKET: Final = re.compile(rb"(?:%s)*+([\[\]{}])" % _TEXT, re.DOTALL)
_TO_MARK: Final = re.compile(
    rb'(?:[^"\[\]{},]++|%s)*+(%s|[\[\]{},])' % (_STRING, _PRODUCT), re.DOTALL
)
_DEEP_TO_BRACKET: Final = re.compile(rb"(?:%s|%s)*+([\[\]{}])?" % (_TEXT, _PRODUCT), re.DOTALL)
_TO_ID: Final = re.compile(
    rb'(?:[^"\[\]{}]++|"(?!id"\s{0,9}+:)(?:[^"\\]++|\\.)*+"|%s)*+(?:"id"\s*+:\s*+(%s)|([\[\]{}]))'
    % (_ATTRIBUTES, _STRING),
    re.DOTALL,
)

_ITEM_DEPTH: Final = 2
"""Brackets around an item: those of the document, and those of its list."""

_BY_DEPTH: Final = (_TO_BRACKET, _TO_BRACKET, _TO_MARK, _DEEP_TO_BRACKET)
_IN_ITEM_BY_DEPTH: Final = (_TO_BRACKET, _TO_ID, _DEEP_TO_BRACKET)

_STRETCH: Final = MAX_PRODUCT_BYTES
"""Bytes that one match passes, more than a product can have: matching holds the interpreter."""

_MAX_STEPS: Final = 100_000
"""Brackets and commas that are passed one by one, at 1 µs each: two for an item, and those of
brackets that are deeper than a product's or never close."""

_MAX_LOOKED_AT: Final = 100
"""Brackets that are passed one by one on the way to an item's id."""


def cut_items(body: bytes, most: int) -> tuple[Any, list[bytes]]:
    """The document with each item's number in its place, and the items' texts by number.

    Raises ValueError if the document can't be read even so, OverflowError beyond `most` items.
    """
    frame, items = [], list[bytes]()
    depth = at = kept = start = values = 0
    for _ in range(_MAX_STEPS):
        match = _BY_DEPTH[min(depth, _ITEM_DEPTH + 1)].match(body, at, at + _STRETCH)
        if match is None or match.end() == at:
            raise ValueError("the brackets or quotes do not match")
        mark, at = match[1] or b"", match.end()
        if depth == _ITEM_DEPTH and mark in (b"]", b"}", b","):
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
        if depth == _ITEM_DEPTH and mark[:1] in (b"[", b"{"):
            values += 1
            if values > 1:
                raise ValueError("a comma is missing between two items")
        if mark in (b"[", b"{"):
            depth += 1
            if depth == _ITEM_DEPTH:
                start, values = at, 0
        elif mark in (b"]", b"}"):
            depth -= 1
        if depth <= 0:
            return from_json(b"".join([*frame, body[kept:]]), allow_inf_nan=False), items
    raise ValueError("there are too many brackets")


def named_id(item: bytes) -> str | None:
    """The `id` of an item that is no JSON; None if it can't be read either."""
    depth = at = 0
    for _ in range(_MAX_LOOKED_AT):
        expression = _IN_ITEM_BY_DEPTH[min(depth, 2)]
        match = expression.match(item, at, at + _STRETCH)
        if match is None or match.end() == at:
            return None
        at = match.end()
        if expression is _TO_ID and match[1]:
            try:
                return str(from_json(match[1]))
            except ValueError:
                return None
        bracket = match[match.re.groups]
        if bracket:
            depth += 1 if bracket in b"[{" else -1
    return None
