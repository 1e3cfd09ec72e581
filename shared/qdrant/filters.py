"""Our conditions as filters of Qdrant's REST API. Pure.

As plain JSON, because the client's models cost seven times as much for a write of 64 points.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.errors import QdrantRejected
from shared.models.attributes import unfilterable
from shared.models.product import point_id
from shared.models.search.filters import AnyOf, AttributeScalar, Filters, Range, Within
from shared.models.terms import MARK
from shared.qdrant.points import (
    CODES,
    PAID_PRICE,
    TERMS,
    LivePoint,
    PayloadWrite,
    Tombstone,
)
from shared.qdrant.vectors import WORDS
from shared.words.analyser import QueryWords

Filter = dict[str, Any]
"""Clauses `must`, `must_not` and `should`, each a list of conditions."""

Condition = dict[str, Any]

_FEW: Final = 4
"""Of a condition with more values Qdrant shall not start from the products that meet it: it would
put their lists together, which takes 16 ms for 64 values of 20,000 products. A look at each product
of the tenant takes 8. A double negation keeps it from that."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def attribute_path(name: str) -> str:
    """The payload path of a product attribute, quoted if Qdrant's path syntax needs it.

    Raises QdrantRejected for a name with a double quote or a backslash: the syntax has no way to
    write them.
    """
    if _PLAIN_KEY.fullmatch(name):
        return f"attributes.{name}"
    if fault := unfilterable(name):
        raise QdrantRejected(f"the attribute {name!r} {fault.message()}")
    return f'attributes."{name}"'


def of_tenant(tenant: str, category: str | None = None, *, all_have_terms: bool = True) -> Filter:
    """Every live product of a tenant, or those of one category. Tombstones have no tenant."""
    filters = Filters(category_filter=category)
    return {"must": [_equals("tenant", tenant), *_that_hold(filters, all_have_terms)]}


def of_search(
    tenant: str,
    filters: Filters,
    without_group: str | None = None,
    *,
    all_have_terms: bool = True,
) -> Filter:
    """The products that a search may find; `without_group` leaves out those of one group.

    `all_have_terms`: whether no product of before terms is left
    (`shared/qdrant/recovery/upgrade.py`).
    """
    must = [_equals("tenant", tenant), *_that_hold(filters, all_have_terms)]
    if without_group is None:
        return {"must": must}
    return {"must": must, "must_not": [_equals("group_id", without_group)]}


def attributes_in_ranges(filters: Filters) -> Sequence[str]:
    """The payload paths of the attributes whose numbers are to lie within bounds."""
    return [
        attribute_path(name)
        for name, wanted in filters.attributes.items()
        if isinstance(wanted, Range)
    ]


def older_points(revs: Mapping[str, int]) -> Filter:
    """The stored points, by id, whose rev is lower than the one given for them."""
    return {"should": [{"must": _older(*point)} for point in revs.items()]}


def older_than(writes: Sequence[LivePoint | Tombstone]) -> Filter:
    """The stored points that these writes may replace: each only if its own rev is lower.

    The condition of a conditional upsert is one for the whole operation, hence an OR that names
    every point with its rev. At most one write per product. Points that aren't stored yet are
    inserted whatever the condition.
    """
    return {"should": [{"must": _replaceable(write)} for write in writes]}


def older_with_picture(write: PayloadWrite) -> Filter:
    """The stored point, if the write may replace it and its picture is the one that was decided
    about."""
    return {
        "must": [
            *_replaceable(write),
            _equals("image_sha256", write.image.sha256),
        ]
    }


def unchanged_with_picture(write: PayloadWrite, rev: int) -> Filter:
    """The stored point, if it still has the rev and the picture that were decided about."""
    return {
        "must": [
            *of_rev(point_id(*write.key), rev)["must"],
            _equals("image_sha256", write.image.sha256),
        ]
    }


def matching_words(words: QueryWords) -> Condition:
    """As many of the query's words as are needed, each by one of its terms."""
    each = [{"key": WORDS, "match": {"any": list(word.terms)}} for word in words.words]
    if words.needed >= len(each):
        return {"must": each}
    return {"min_should": {"conditions": each, "min_count": words.needed}}


def with_code(entries: Sequence[str]) -> Condition:
    """One of the entries among the product's codes."""
    return {"key": CODES, "match": {"any": list(entries)}}


def tombstones_before(rev: int) -> Filter:
    """The tombstones whose rev (microseconds since 1970) is lower."""
    return {
        "must": [_within("rev", lt=rev)],
        "must_not": [{"is_empty": {"key": "tombstone_of"}}],
    }


def to_upgrade(words_mark: str | None) -> Filter:
    """The live products that were last written before there were terms, or words, such as today's.

    `words_mark`: the analyser's, of today's words; None if words don't count.
    """
    marks = [_equals(TERMS, MARK)]
    if words_mark is not None:
        marks.append(_equals(WORDS, words_mark))
    return {"must_not": [{"must": marks}, {"is_empty": {"key": "tenant"}}]}


def live_products() -> Filter:
    """The live products of all tenants."""
    return {"must_not": [{"is_empty": {"key": "tenant"}}]}


def of_rev(point: str, rev: int) -> Filter:
    """The stored point while it has this rev."""
    return {"must": [{"has_id": [point]}, _within("rev", gte=rev, lte=rev)]}


def _older(point: str, rev: int) -> list[Condition]:
    return [{"has_id": [point]}, _within("rev", lt=rev)]


def _replaceable(write: LivePoint | Tombstone | PayloadWrite) -> list[Condition]:
    """The stored point that is older, or awaits the picture of this very rev.

    The second only if the write may follow fields of its rev: it costs a write of 64 points a
    quarter more.
    """
    older = _older(point_id(*write.key), write.rev)
    if isinstance(write, Tombstone) or not write.after_fields:
        return older
    same_rev = _within("rev", gte=write.rev, lte=write.rev)
    awaits_picture = {"must": [same_rev], "must_not": [{"is_empty": {"key": "awaits_picture"}}]}
    return [older[0], {"should": [older[1], awaits_picture]}]


def _that_hold(filters: Filters, all_have_terms: bool) -> list[Condition]:
    """The filters' conditions. `all_have_terms`: whether terms and paid prices can be relied on."""
    conditions = [_holds(condition) for condition in filters.conditions()]
    if all_have_terms or not conditions or any(map(unfilterable, filters.attributes)):
        return conditions
    of_before = {"must": _as_stored(filters), "must_not": [_equals(TERMS, MARK)]}
    return [{"should": [{"must": conditions}, of_before]}]


def _holds(condition: AnyOf | Within) -> Condition:
    if isinstance(condition, AnyOf):
        return _has_a_term_of(condition.terms)
    if condition.attribute == "price":
        return _within(PAID_PRICE, **condition.bounds.bounds())
    name = condition.attribute.removeprefix("attributes.")
    return _within(attribute_path(name), **condition.bounds.bounds())


def _has_a_term_of(terms: Sequence[str]) -> Condition:
    if len(terms) == 1:  # a tenth faster than a list of one
        return _equals(TERMS, terms[0])
    has_one: Condition = {"key": TERMS, "match": {"any": terms}}
    if len(terms) <= _FEW:
        return has_one
    return {"must_not": [{"must_not": [has_one]}]}


def _as_stored(filters: Filters) -> list[Condition]:
    """The same of products without terms: on their fields as they stand, letter by letter.

    They have neither brand, availability nor sale price, which came after the terms.
    """
    must: list[Condition] = []
    for name, wanted in sorted(filters.attributes.items()):
        if isinstance(wanted, Range):
            must.append(_within(attribute_path(name), **wanted.bounds()))
        else:
            must.append(_has_one_of(name, wanted))
    for field, values in (("category", filters.category_filter), ("brand", filters.brand_filter)):
        if values is not None:
            must.append({"key": field, "match": {"any": list(values)}})
    prices = {"gte": filters.price_min, "lte": filters.price_max}
    bounds = {name: price for name, price in prices.items() if price is not None}
    return [*must, _within("price", **bounds)] if bounds else must


def _has_one_of(name: str, values: Sequence[AttributeScalar]) -> Condition:
    """The attribute has one of the values; a list among a product's attributes has its members."""
    key = attribute_path(name)
    texts = [value for value in values if isinstance(value, str)]
    conditions: list[Condition] = [{"key": key, "match": {"any": texts}}] if texts else []
    conditions += [_is(key, value) for value in values if not isinstance(value, str)]
    return conditions[0] if len(conditions) == 1 else {"should": conditions}


def _is(key: str, value: bool | int | float) -> Condition:
    if isinstance(value, bool):
        return _equals(key, value)
    # Qdrant matches whole numbers only, and 20 not with 20.0; a range compares all of them.
    return _within(key, gte=value, lte=value)


def _equals(key: str, value: str | bool) -> Condition:
    return {"key": key, "match": {"value": value}}


def _within(key: str, **bounds: float) -> Condition:
    return {"key": key, "range": bounds}
