"""Upgrades points of an earlier release, beside the worker's own work."""

from typing import Final

import structlog

from shared.qdrant.recovery.transfer import PointTransfer
from worker.upkeep.periodic import Periodic

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 60.0


class IndexUpgrade(Periodic):
    """A thread that gives terms and words to the products without them, until none is left.

    A real server takes minutes for a large catalogue; filters find both kinds meanwhile. Several
    workers may do it at once.
    """

    def __init__(self, points: PointTransfer, retry_seconds: float = RETRY_SECONDS) -> None:
        """`points` are its own: it closes them at its end. After a failure, and after a round that
        found products, it looks again `retry_seconds` later."""
        super().__init__("index-upgrade", retry_seconds, "index_not_upgraded")
        self._points = points

    def turn(self) -> bool:
        """One round; the last if it found nothing to do."""
        done = 0
        for upgraded in self._points.upgrade():
            done += upgraded
            if self._stopped.is_set():
                return False
        if done:
            log.info("index_upgraded", products=done)
        return not done

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._points.close()
