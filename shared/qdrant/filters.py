"""Our conditions as Qdrant filters. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from qdrant_client import models

from shared.errors import QdrantRejected
from shared.models.product import point_id
from shared.models.search import AttributeScalar, Filters
from shared.qdrant.points import LivePoint, PayloadWrite, Tombstone

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def attribute_path(name: str) -> str:
    """The payload path of a product attribute, quoted where Qdrant's path syntax needs it.

    Raises QdrantRejected for a name with a double quote: the syntax has no way to write it.
    """
    if _PLAIN_KEY.fullmatch(name):
        return f"attributes.{name}"
    if '"' in name:
        raise QdrantRejected(f"the attribute name {name!r} can't be filtered on: it holds a quote")
    return f'attributes."{name}"'


def of_tenant(tenant: str, category: str | None = None) -> models.Filter:
    """Every live product of a tenant, or those of one category. Tombstones have no tenant."""
    return models.Filter(must=_tenant_conditions(tenant, category))


def of_search(tenant: str, filters: Filters, without_group: str | None = None) -> models.Filter:
    """The products that a search may find; `without_group` leaves out those of one group."""
    must = _tenant_conditions(tenant, filters.category_filter)
    if filters.price_min is not None or filters.price_max is not None:
        price = models.Range(gte=filters.price_min, lte=filters.price_max)
        must.append(models.FieldCondition(key="price", range=price))
    must += [_has_one_of(name, values) for name, values in sorted(filters.attributes.items())]
    if without_group is None:
        return models.Filter(must=must)
    return models.Filter(must=must, must_not=[_equals("group_id", without_group)])


def older_than(writes: Sequence[LivePoint | Tombstone]) -> models.Filter:
    """The stored points that these writes may replace: each only where its own rev is lower.

    The condition of a conditional upsert is one for the whole operation, hence an OR that names
    every point with its rev. At most one write per product. Points that aren't stored yet are
    inserted whatever the condition.
    """
    return models.Filter(should=[models.Filter(must=_older(write)) for write in writes])


def older_with_picture(write: PayloadWrite) -> models.Filter:
    """The stored point, where its rev is lower and its picture the one that was decided about."""
    picture = _equals("image_sha256", write.image.sha256)
    return models.Filter(must=[*_older(write), picture])


def _older(write: LivePoint | Tombstone | PayloadWrite) -> list[models.Condition]:
    return [
        models.HasIdCondition(has_id=[point_id(*write.key)]),
        models.FieldCondition(key="rev", range=models.Range(lt=write.rev)),
    ]


def tombstones_before(rev: int) -> models.Filter:
    """The tombstones whose rev (microseconds since 1970) is lower."""
    return models.Filter(
        must=[models.FieldCondition(key="rev", range=models.Range(lt=rev))],
        must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key="tombstone_of"))],
    )


def _tenant_conditions(tenant: str, category: str | None) -> list[models.Condition]:
    must: list[models.Condition] = [_equals("tenant", tenant)]
    if category is not None:
        must.append(_equals("category", category))
    return must


def _has_one_of(name: str, values: Sequence[AttributeScalar]) -> models.Condition:
    """The attribute has one of the values; a list among a product's attributes has its members."""
    key = attribute_path(name)
    texts = [value for value in values if isinstance(value, str)]
    conditions: list[models.Condition] = []
    if texts:
        conditions.append(models.FieldCondition(key=key, match=models.MatchAny(any=texts)))
    conditions += [_is(key, value) for value in values if not isinstance(value, str)]
    return conditions[0] if len(conditions) == 1 else models.Filter(should=conditions)


def _is(key: str, value: bool | int | float) -> models.FieldCondition:
    if isinstance(value, bool):
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))
    # Qdrant matches whole numbers only, and 20 not with 20.0; a range compares all of them.
    return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))


def _equals(key: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
