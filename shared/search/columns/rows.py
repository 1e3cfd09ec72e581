"""A product's row, read from its point's payload. Pure."""

from collections.abc import Mapping, Set
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from shared.models.folding import fold
from shared.search.columns.values import ATTRIBUTE, Value, value_of

PAYLOAD_OF_ROW: Final = (
    "id",
    "group_id",
    "name",
    "price",
    "sale_price",
    "created_at",
    "category",
    "brand",
    "availability",
    "attributes",
)
"""The fields of a payload that `Row.of` reads."""

UNDATED: Final = int(np.iinfo(np.int64).min) + 1
"""`created_at` of a product that has none: older than all others."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_IN_STOCK: Final = "in_stock"


class Row(NamedTuple):
    """A live product, as the columns hold it."""

    id: str
    group: str
    """The id that the variants of one product share; its own if it has none."""
    paid: float
    """What the shopper pays: the sale price if there is one, else the price; NaN if neither."""
    created: int
    """Microseconds since 1970."""
    name: str
    """Folded, for sorting."""
    values: Mapping[str, Value]
    """By field: category, brand, availability, and attributes by their name behind a prefix."""

    def with_only(self, attributes: Set[str]) -> "Row":
        """The same without the product's other attributes, by the names of columns."""
        kept = {
            name: value
            for name, value in self.values.items()
            if name in attributes or not name.startswith(ATTRIBUTE)
        }
        return self._replace(values=kept)

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "Row":
        """The row of a live point."""
        paid = payload.get("sale_price", payload.get("price"))
        held = {
            "category": payload.get("category"),
            "brand": payload.get("brand"),
            "availability": payload.get("availability") or _IN_STOCK,
            **{
                ATTRIBUTE + name: value_of(value)
                for name, value in payload.get("attributes", {}).items()
            },
        }
        return cls(
            id=payload["id"],
            group=payload.get("group_id") or payload["id"],
            paid=np.nan if paid is None else float(paid),
            created=_microseconds(payload.get("created_at")),
            name=fold(payload["name"]),
            values={field: value for field, value in held.items() if value is not None},
        )


def _microseconds(moment: str | None) -> int:
    if moment is None:
        return UNDATED
    return (datetime.fromisoformat(moment) - _EPOCH) // _MICROSECOND
