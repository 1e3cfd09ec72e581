"""Notices at a worker's start that the ledger was lost while the index was not."""

import structlog

from shared.errors import VitrineError
from shared.ledger import LedgerRebuild
from shared.qdrant.transfer import PointTransfer

log = structlog.get_logger(__name__)


def warn_of_lost_ledger(ledger: LedgerRebuild, points: PointTransfer) -> bool:
    """Logs an error that names the command where the index holds products that the ledger has
    never known of; returns whether it did. One question to each server where all is well.

    Without their rows, patches answer 404 and an older version of a product is not known as stale.
    """
    try:
        if ledger.knows(points.collection):
            return False
        held = points.count()
        if not held:
            ledger.note(points.collection)
            return False
    except VitrineError as err:
        log.warning("ledger_not_checked", code=err.code, error=err.message)
        return False
    log.error(
        "ledger_lost",
        collection=points.collection,
        points=held,
        next_step="the index holds products that this ledger does not know, as after a loss of "
        "Redis: run `make rebuild-ledger` (python -m operations rebuild-ledger)",
    )
    return True
