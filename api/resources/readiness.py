"""Whether this process can do its work: each part asked at once, each within its own time."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

import structlog

from shared.errors import VitrineError

OK: Final = "ok"
TIMEOUT: Final = "timeout"


class Check:
    """One part's check. At most one is under way, so that a frozen part holds one thread."""

    def __init__(
        self,
        name: str,
        probe: Callable[[], None],
        *,
        timeout_seconds: float,
        keep_seconds: float = 0.0,
    ) -> None:
        """`probe` raises if the part fails. A success counts for `keep_seconds`."""
        self.name = name
        self._probe = probe
        self._timeout_seconds = timeout_seconds
        self._keep_seconds = keep_seconds
        self._lock = threading.Lock()
        self._under_way: Future[None] | None = None
        self._good_until = float("-inf")

    def start(self) -> Callable[[], str]:
        """Starts the check, or joins one; the returned call gives `ok` or the fault's code."""
        if time.monotonic() < self._good_until:
            return lambda: OK
        deadline = time.monotonic() + self._timeout_seconds
        with self._lock:
            future = self._under_way
            if future is None or future.done():
                future = self._under_way = Future()
                # A thread of its own, not a pool's: one that hangs must not keep the process
                # from ending.
                threading.Thread(
                    target=self._run, args=(future,), name=f"check-{self.name}", daemon=True
                ).start()
        return lambda: self._result(future, deadline)

    def _run(self, future: Future[None]) -> None:
        try:
            self._probe()
        except Exception as err:
            future.set_exception(err)
        else:
            self._good_until = time.monotonic() + self._keep_seconds
            future.set_result(None)

    def _result(self, future: Future[None], deadline: float) -> str:
        try:
            future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return TIMEOUT
        except VitrineError as err:
            structlog.get_logger("api").warning("not_ready", part=self.name, error=err.message)
            return str(err.code)
        except Exception:
            structlog.get_logger("api").exception("not_ready", part=self.name)
            return "internal_error"
        return OK


class Readiness:
    """All checks together."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks

    def results(self) -> Mapping[str, str]:
        """By part: `ok`, `timeout` or the fault's code. Takes as long as the slowest check may."""
        started = [(check.name, check.start()) for check in self._checks]
        return {name: result() for name, result in started}
