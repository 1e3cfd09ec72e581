"""Upgrades what an earlier release wrote, beside the worker's own work."""

import threading
from typing import Final

import structlog

from shared.errors import VitrineError
from shared.qdrant.recovery.transfer import PointTransfer

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 60.0


class IndexUpgrade:
    """A thread that gives terms to the products without them, until none is left.

    A real server takes minutes for a large catalogue; filters find both kinds meanwhile. Several
    workers may do it at once.
    """

    def __init__(self, points: PointTransfer, retry_seconds: float = RETRY_SECONDS) -> None:
        """`points` are its own: it closes them at its end. After a failure, and after a round that
        found products, it looks again `retry_seconds` later."""
        self._points = points
        self._retry_seconds = retry_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index-upgrade", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the page that it is at."""
        self._stopped.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            while not self._is_done() and not self._stopped.wait(self._retry_seconds):
                pass
        finally:
            self._points.close()

    def _is_done(self) -> bool:
        """One round; whether it found nothing to do."""
        done = 0
        try:
            for upgraded in self._points.add_terms():
                done += upgraded
                if self._stopped.is_set():
                    return False
        except VitrineError as err:
            log.warning("index_not_upgraded", code=err.code, error=err.message)
            return False
        except Exception:
            # Without this thread, filters would look for both kinds until the next start.
            log.exception("index_not_upgraded")
            return False
        if done:
            log.info("index_upgraded", products=done)
        return not done
