"""A thread of the worker process that takes a turn now and then."""

import threading
from abc import ABC, abstractmethod
from typing import Final

import structlog

from shared.errors import VitrineError

log = structlog.get_logger(__name__)

_JOIN_SECONDS: Final = 10.0
"""A turn that takes longer is left to the end of the process."""


class Periodic(ABC):
    """Takes turns until it is stopped, and outlives their errors."""

    def __init__(self, name: str, seconds: float, fault: str) -> None:
        """The first turn comes at the start, the next `seconds` after the end of each.

        `fault` names in the log a turn that failed.
        """
        self._seconds = seconds
        self._fault = fault
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def turn(self) -> bool:
        """One turn. Whether it was the last."""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the turn that it is at."""
        self._stopped.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopped.is_set() and not self._is_done():
            self._stopped.wait(self._seconds)

    def _is_done(self) -> bool:
        try:
            return self.turn()
        except VitrineError as err:
            log.warning(self._fault, code=err.code, error=err.message)
        except Exception:
            # Work that this thread alone does would otherwise stay undone until the next start.
            log.exception(self._fault)
        return False
