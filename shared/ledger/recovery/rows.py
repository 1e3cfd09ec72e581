"""The rows without a wanted state: the changes that they call landed, and those that are lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import redis

from shared.ledger.connection import PREFIX, translated
from shared.ledger.scripts import script_source
from shared.models.change import State

_SCAN_COUNT: Final = 250
"""Rows per page: one round trip here, one to the index, and one short script."""


@dataclass(frozen=True, slots=True)
class RowAtRest:
    """A product's row while nothing is wanted of it. `rev` in µs since 1970."""

    tenant: str
    product_id: str
    rev: int
    version: int | None
    state: State
    failed: bool
    """The newest change failed, so the index rightly holds an older rev, or nothing."""
    incomplete: bool
    """The newest put or delete has not landed whole, so its version may be sent again."""

    @property
    def key(self) -> tuple[str, str]:
        return self.tenant, self.product_id


class RowsAtRest:
    """Walks the rows and marks those with lost writes; may run beside everything else.

    Methods raise `LedgerUnavailable`, and marking `LedgerFull` if Redis has too little memory.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._mark = client.register_script(script_source("mark_lost"))

    def pages(self) -> Iterator[list[RowAtRest]]:
        """Each row at least once that is at rest all the time; a page may be empty."""
        start = f"{PREFIX}row:"
        cursor = 0
        while True:
            with translated():
                answer = cast("Any", self._redis.scan(cursor, f"{start}*", _SCAN_COUNT))
            cursor, keys = int(answer[0]), cast("list[str]", answer[1])
            yield self._read([key.removeprefix(start) for key in dict.fromkeys(keys)])
            if cursor == 0:
                return

    def mark_lost(self, found: Sequence[tuple[RowAtRest, State]]) -> list[RowAtRest]:
        """Notes in the rows the state found in the index, and lets their versions be sent again.

        Returns those that were still at rest under the rev that was read.
        """
        if not found:
            return []
        arguments: list[str | int] = [PREFIX]
        for row, state in found:
            arguments += (row.tenant, row.product_id, row.rev, state)
        with translated():
            marked = self._mark(args=arguments)
        return [row for (row, _), done in zip(found, marked, strict=True) if done]

    def _read(self, names: Sequence[str]) -> list[RowAtRest]:
        # Both parts of a product of one moment.
        with translated(), self._redis.pipeline(transaction=True) as pipeline:
            for name in names:
                pipeline.hmget(
                    f"{PREFIX}row:{name}", "rev", "version", "state", "failed", "incomplete"
                )
                pipeline.exists(f"{PREFIX}wanted:{name}")
            held = pipeline.execute() if names else []
        rows = []
        for name, fields, wanted in zip(names, held[0::2], held[1::2], strict=True):
            rev, version, state, failed, incomplete = fields
            if wanted or rev is None:
                continue
            tenant, _, product_id = name.partition(":")
            number = None if version is None else int(version)
            rows.append(
                RowAtRest(
                    tenant,
                    product_id,
                    int(rev),
                    number,
                    State(state),
                    failed is not None,
                    incomplete is not None,
                )
            )
        return rows
