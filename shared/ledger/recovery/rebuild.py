"""Rows of the ledger made anew from the index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.ledger.connection import PREFIX, translated
from shared.ledger.scripts import script_source
from shared.models.change import Aspect, State

_ROWS_AT_ONCE: Final = 250
"""As for accepting: a script of so many keeps others from Redis for some milliseconds."""


@dataclass(frozen=True, slots=True)
class IndexedProduct:
    """A product or tombstone of the index, as the ledger needs it. `rev` in µs since 1970."""

    tenant: str
    product_id: str
    rev: int
    version: int | None
    state: State
    incomplete: bool
    """It landed with a warning, so its version may be sent again."""
    awaited: str = ""
    """The put, as JSON, if its picture is still awaited; else empty."""


@dataclass(frozen=True, slots=True)
class RebuiltRows:
    """Counts of rows: added, raised to the index's state, left as they were."""

    added: int = 0
    raised: int = 0
    left: int = 0

    def __add__(self, other: "RebuiltRows") -> "RebuiltRows":
        return RebuiltRows(
            self.added + other.added, self.raised + other.raised, self.left + other.left
        )


class LedgerRebuild:
    """Writes rows from the index, never over newer ones; may run beside everything else.

    A row's rev is the product's clock: the next change gets a higher one, whatever the machine's
    clock says. Methods raise `LedgerUnavailable` and `LedgerFull`.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._rebuild = client.register_script(script_source("rebuild"))
        self._raise = client.register_script(script_source("raise_generations"))

    def is_empty(self) -> bool:
        """Whether the ledger knows no product at all; looks through all keys if it doesn't."""
        with translated():
            return next(self._redis.scan_iter(f"{PREFIX}row:*", count=1000), None) is None

    def take(self, products: Sequence[IndexedProduct]) -> RebuiltRows:
        """Brings the products' rows up to the index."""
        rows = RebuiltRows()
        for start in range(0, len(products), _ROWS_AT_ONCE):
            arguments: list[Any] = [PREFIX]
            for product in products[start : start + _ROWS_AT_ONCE]:
                version = "" if product.version is None else product.version
                arguments += (product.tenant, product.product_id, product.rev)
                arguments += (version, product.state, int(product.incomplete), product.awaited)
            with translated():
                rows += RebuiltRows(*self._rebuild(args=arguments))
        return rows

    def raise_generations(self, highest_revs: Mapping[str, int]) -> None:
        """Makes all answers that were cached of these tenants unreachable.

        The generations go on above the tenants' highest revs, so that none comes twice although
        the last ones are forgotten and the clock may have been set back.
        """
        pairs = [field for pair in highest_revs.items() for field in pair]
        with translated():
            self._raise(args=[PREFIX, len(Aspect), *Aspect, *pairs])
