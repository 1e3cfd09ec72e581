"""Finds changes that landed by the ledger's account and are lost from the index; mends some.

Deletions are written again. A product's content is in the index alone, so a put or patch that is
lost can only be pushed again: its row is marked, and takes the same version once more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.ledger import LedgerRebuild, RowAtRest, RowsAtRest
from shared.models.change import State
from shared.models.product import point_id
from shared.qdrant.points import ProductKey, Tombstone, state_of, tombstone_payload
from shared.qdrant.recovery.transfer import PointTransfer, RawPoint
from shared.wording import counted

NAMED: Final = 20
"""Lost products that are named; of thousands, nobody reads more, and the catalogue is pushed."""


@dataclass
class LostWrites:
    """The counts so far."""

    lost: int = 0
    """Products whose last change the index doesn't hold, marked now or by an earlier run."""
    named: list[str] = field(default_factory=list)
    """The first of them, as tenant/product."""
    deletions: int = 0
    """Deletions that were written again."""
    highest_revs: dict[str, int] = field(default_factory=dict)
    """Of all rows at rest, by tenant."""


def find_lost_writes(
    rows: RowsAtRest, points: PointTransfer, ledger: LedgerRebuild
) -> Iterator[tuple[int, LostWrites]]:
    """Works page by page; yields how many rows a page had, and what was found so far.

    Rows are read before the index. So a change that a row calls landed stands there, or something
    newer does, or it is lost. Changes that are accepted meanwhile have a higher rev: no row is
    marked and no product deleted under an older one. In the end, no earlier answer of the cache is
    found any more. Raises LedgerUnavailable, QdrantUnavailable and QdrantRejected.
    """
    found = LostWrites()
    for page in rows.pages():
        for row in page:
            highest = found.highest_revs.get(row.tenant, 0)
            found.highest_revs[row.tenant] = max(highest, row.rev)
        held = points.held([row.key for row in page])
        tombstones = [_tombstone(row) for row in page if _is_deletion_lost(row, held.get(row.key))]
        points.write([_raw(tombstone) for tombstone in tombstones])
        found.deletions += len(tombstones)
        lost = rows.mark_lost(_lost(page, held))
        found.lost += len(lost)
        room = NAMED - len(found.named)
        found.named += [f"{row.tenant}/{row.product_id}" for row in lost[:room]]
        yield len(page), found
    ledger.raise_generations(found.highest_revs)


def report_lines(lost: LostWrites) -> list[str]:
    """Lines for people, with the next step; none if nothing was lost."""
    lines = []
    if lost.deletions:
        lines.append(
            f"written again: {counted(lost.deletions, 'deletion')} that the index had lost"
        )
    if lost.lost:
        more = lost.lost - len(lost.named)
        names = ", ".join(lost.named) + (f" and {more} more" if more else "")
        lines += [
            f"{counted(lost.lost, 'product')} whose last change the index has lost: {names}",
            "next step: push these products again, or the whole catalogue; their versions are "
            "taken once more, and of the others nothing is embedded",
        ]
    return lines


def _lost(
    page: Sequence[RowAtRest], held: Mapping[ProductKey, RawPoint]
) -> list[tuple[RowAtRest, State]]:
    """The rows of products that are lost or older than they say, with the state in the index."""
    return [(row, state_of(held.get(row.key))) for row in page if _is_lost(row, held.get(row.key))]


def _is_lost(row: RowAtRest, point: RawPoint | None) -> bool:
    if row.state is State.LIVE:
        # If a product's last change failed, the rev under which it last landed isn't known.
        gone = state_of(point) is not State.LIVE or not row.failed
        return gone and _is_behind(row, point)
    # Found by an earlier run and not pushed since: what else is incomplete and not live has failed.
    return row.incomplete and not row.failed and _is_behind(row, point)


def _is_deletion_lost(row: RowAtRest, point: RawPoint | None) -> bool:
    if row.state is not State.DELETED:
        return False
    if row.failed:
        return state_of(point) is not State.DELETED and _is_behind(row, point)
    return not row.incomplete and _is_behind(row, point)


def _is_behind(row: RowAtRest, point: RawPoint | None) -> bool:
    return point is None or point.rev < row.rev


def _tombstone(row: RowAtRest) -> Tombstone:
    if row.failed:
        # The row's rev and version are the failed change's, which may yet be retried; all that has
        # landed is older.
        return Tombstone(row.tenant, row.product_id, row.rev - 1)
    return Tombstone(row.tenant, row.product_id, row.rev, row.version)


def _raw(tombstone: Tombstone) -> RawPoint:
    return RawPoint(point_id(*tombstone.key), tombstone_payload(tombstone))
