"""Fills an index and a ledger from a backup. Done twice, it changes nothing more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from operations.archive import ArchiveReader
from operations.faults import ExitCode, OperationFault
from operations.progress import progress_bar
from operations.rebuild import RowsFromIndex
from shared.ledger import LedgerLoss, LedgerRebuild, LedgerRestore, RestoredStates
from shared.ledger.recovery.snapshot import IDEMPOTENCY, JOB, PRODUCT, Record
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.vectors import IMAGE
from shared.wording import counted

_PRODUCTS_AT_ONCE: Final = 250


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: a model's collection and a ledger."""

    points: PointTransfer
    rows: LedgerRebuild
    loss: LedgerLoss
    ledger: LedgerRestore
    attribute_indexes: Sequence[str]
    dimensions: int | None
    """Numbers in a vector, as the settings tell, for a backup that holds no vector."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The counts of what was restored: points, jobs, and the products that wait for a worker."""

    points: int
    jobs: int
    waiting: int


def restore(archive: ArchiveReader, target: Target, *, force: bool) -> Restored:
    """Checks the whole file first, then writes: points with their rows, jobs, what waits.

    A worker may be at work: what waits comes after what it refers to, and every write loses to
    what is newer. Raises `OperationFault` for a damaged file, one of another model, and, unless
    `force` is given, a target that holds something; and the errors of the servers' methods.
    """
    _check_model(archive, target.points.collection)
    with progress_bar("checking", len(archive.manifest["sha256"])) as advance:
        archive.check(advance)
    if not force:
        _check_empty(target)
    dimensions = archive.dimensions.get(IMAGE, target.dimensions)
    target.points.ensure_collection(dimensions, target.attribute_indexes)
    rows = RowsFromIndex(target.rows, target.loss)
    with progress_bar("products", archive.manifest["points"]) as advance:
        for page in archive.points():
            target.points.write(page)
            rows.take(page)
            advance(len(page))
    jobs = 0
    for record in archive.ledger():
        if record["kind"] == JOB:
            target.ledger.job(record)
            jobs += 1
        elif record["kind"] == IDEMPOTENCY:
            target.ledger.idempotency_key(record)
    states = RestoredStates()
    tenants: set[str] = set()
    products = (record for record in archive.ledger() if record["kind"] == PRODUCT)
    for part in _parts(products):
        states += target.ledger.products(part)
        tenants.update(record["tenant"] for record in part)
    rows.finish(tenants)
    return Restored(archive.manifest["points"], jobs, states.waiting)


def _check_model(archive: ArchiveReader, collection: str) -> None:
    held = archive.manifest["collection"]
    if held != collection:
        model = ", ".join(f"{name}={value}" for name, value in archive.manifest["model"].items())
        raise OperationFault(
            ExitCode.SETTINGS,
            f"this backup is of {held} ({model}), but the settings name {collection}. Vectors of "
            "two models must not meet: set the model as it was, in .env or on this command's line, "
            "or push the catalogue again",
        )


def _check_empty(target: Target) -> None:
    held = target.points.count()
    what = (
        f"{counted(held, 'point')} (products, and the traces of deleted ones)"
        if held
        else ""
        if target.rows.is_empty()
        else "a ledger with products"
    )
    if what:
        raise OperationFault(
            ExitCode.CANT_CREATE,
            f"the target holds {what} already. To go back to this backup, restore into an empty "
            "stack (another DATA_DIR, or emptied servers). With FORCE=1 the backup is merged into "
            "what is there, and of each product the newer state stays",
        )


def _parts(records: Iterator[Record]) -> Iterator[list[Record]]:
    while part := list(islice(records, _PRODUCTS_AT_ONCE)):
        yield part
