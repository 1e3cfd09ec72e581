"""Notices, at a worker's start and while it runs, that the ledger was lost but not the index."""

from typing import Final

import structlog

from shared.errors import VitrineError
from shared.ledger import LedgerLoss
from shared.qdrant.service import QdrantService

log = structlog.get_logger(__name__)

CHECK_SECONDS: Final = 10.0
"""Between two checks: one question to Redis each."""


class LedgerWatch:
    """Compares the ledger's products with the index's.

    Without their rows, patches answer 404 and an older version of a product is not known as stale.
    """

    def __init__(self, loss: LedgerLoss, qdrant: QdrantService) -> None:
        self._loss = loss
        self._qdrant = qdrant
        self._lost = False

    def check(self) -> bool:
        """Whether the index holds products that the ledger has never known of.

        Says so in the ledger, where `/readyz` and `/metrics` of the API look, and logs an error
        that names the command, once for each loss.
        """
        try:
            if self._loss.knows_all():
                if self._lost:  # another check may have said so while the rows were rebuilt
                    self._loss.note_all_known()
                self._lost = False
                return False
            if not self._lost and not self._qdrant.holds_points():
                self._loss.note_all_known()
                return False
            self._loss.note_lost()
        except VitrineError as err:
            log.warning("ledger_not_checked", code=err.code, error=err.message)
            return self._lost
        if not self._lost:
            log.error(
                "ledger_lost",
                collection=self._loss.collection,
                next_step="the index holds products that this ledger does not know, as after a "
                "loss of Redis: run `make rebuild-ledger` (python -m operations rebuild-ledger)",
            )
        self._lost = True
        return True
