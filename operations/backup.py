"""Takes a backup while the service runs: the ledger first, the index after it.

Whatever the ledger's part says has landed stood in the index before the index was read. Read the
other way round, a change that landed between the two would be in neither part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from operations.archive import ArchiveWriter
from operations.faults import ExitCode, OperationFault
from operations.progress import progress_bar
from shared.ledger import LedgerSnapshot
from shared.qdrant.recovery.transfer import PointTransfer


@dataclass(frozen=True, slots=True)
class BackedUp:
    """The contents of the file: points (products and tombstones) and records of the ledger."""

    points: int
    records: int


def back_up(
    path: Path, points: PointTransfer, ledger: LedgerSnapshot, model: Mapping[str, str]
) -> BackedUp:
    """Writes the file, or nothing. `model`: the settings that name the collection's model.

    Raises `OperationFault` if the file can't be written, if there is nothing to back up, or if only
    another model's collection is there; and LedgerUnavailable, QdrantUnavailable and
    QdrantRejected.
    """
    started = datetime.now(UTC)
    with ArchiveWriter(path) as archive:
        records = archive.ledger(ledger.records())
        total = points.count()
        if not total and not records:
            raise OperationFault(
                ExitCode.NO_INPUT,
                f"there is nothing to back up: no ledger, and no points in {points.collection}; "
                "look at DATA_DIR, REDIS_URL, QDRANT_URL and the model's settings",
            )
        if not total and (others := points.other_models()):
            raise OperationFault(
                ExitCode.SETTINGS,
                f"{points.collection} holds no products, and {', '.join(others)} is there: the "
                "service runs with another model. Set CLIP_MODEL, CLIP_PRETRAINED and "
                "CLIP_RESIZE_MODE as the service has them, best in .env, which all commands "
                "read: what stands on the command line of `make run` reaches that command alone",
            )
        written = 0
        with progress_bar("products", total) as advance:
            for page in points.points() if total else ():
                archive.points(page)
                written += len(page)
                advance(len(page))
        archive.finish(
            {
                "collection": points.collection,
                "model": model,
                "started_at": started.isoformat(timespec="seconds"),
                "points": written,
                "ledger_records": records,
            }
        )
    return BackedUp(written, records)
