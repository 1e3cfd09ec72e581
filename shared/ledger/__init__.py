"""The ledger: every product's wanted state, and the jobs that asked for it, in Redis."""

from shared.ledger.changes import ChangeLog, Changes
from shared.ledger.connection import connect
from shared.ledger.generations import GENERATION_TIMEOUT_SECONDS, Generations
from shared.ledger.idempotency import Idempotency
from shared.ledger.jobs import Jobs
from shared.ledger.ledger import LaneBacklog, Ledger
from shared.ledger.recovery.loss import LedgerLoss
from shared.ledger.recovery.rebuild import IndexedProduct, LedgerRebuild, RebuiltRows
from shared.ledger.recovery.rows import RowAtRest, RowsAtRest
from shared.ledger.recovery.snapshot import LedgerRestore, LedgerSnapshot, RestoredStates

__all__ = [
    "GENERATION_TIMEOUT_SECONDS",
    "ChangeLog",
    "Changes",
    "Generations",
    "Idempotency",
    "IndexedProduct",
    "Jobs",
    "LaneBacklog",
    "Ledger",
    "LedgerLoss",
    "LedgerRebuild",
    "LedgerRestore",
    "LedgerSnapshot",
    "RebuiltRows",
    "RestoredStates",
    "RowAtRest",
    "RowsAtRest",
    "connect",
]
