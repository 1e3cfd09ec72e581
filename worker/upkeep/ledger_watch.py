"""Notices, at a worker's start and while it runs, that the ledger was lost but not the index."""

from typing import Final

import structlog

from shared.errors import VitrineError
from shared.ledger import LedgerRebuild
from shared.qdrant.recovery.transfer import PointTransfer

log = structlog.get_logger(__name__)

CHECK_SECONDS: Final = 10.0
"""Between two checks: one question to Redis each."""

_SAID_SECONDS: Final = 45
"""How long the ledger says so by itself: some checks long, so that it ends with the loss."""


class LedgerWatch:
    """Compares what the ledger knows with what the index holds.

    Without their rows, patches answer 404 and an older version of a product is not known as stale.
    """

    def __init__(self, ledger: LedgerRebuild, points: PointTransfer) -> None:
        self._ledger = ledger
        self._points = points
        self._lost = False

    def check(self) -> bool:
        """Whether the index holds products that the ledger has never known of.

        Says so in the ledger, where `/readyz` and `/metrics` of the API look, and logs an error
        that names the command, once for each loss.
        """
        collection = self._points.collection
        try:
            if self._ledger.knows(collection):
                if self._lost:  # another check may have said so while the rows were rebuilt
                    self._ledger.note(collection)
                self._lost = False
                return False
            # Counting is dear to an embedded index: once for each loss.
            held = 0 if self._lost else self._points.count()
            if not held and not self._lost:
                self._ledger.note(collection)
                return False
            self._ledger.say_lost(collection, _SAID_SECONDS)
        except VitrineError as err:
            log.warning("ledger_not_checked", code=err.code, error=err.message)
            return self._lost
        if not self._lost:
            log.error(
                "ledger_lost",
                collection=collection,
                points=held,
                next_step="the index holds products that this ledger does not know, as after a "
                "loss of Redis: run `make rebuild-ledger` (python -m operations rebuild-ledger)",
            )
        self._lost = True
        return True

    def close(self) -> None:
        """Closes the connections to the index."""
        self._points.close()
