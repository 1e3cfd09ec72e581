"""The one thread that calls the engine, and the bounded queue before it.

The engine holds Python's interpreter lock through every call, so a second thread would add
waiting but no speed. A queue without bound would turn overload into time-outs; this one refuses.
"""

import math
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import structlog

from stack.qdrant.refusals import busy, too_late
from stack.qdrant.store import Store

log = structlog.get_logger(__name__)

Work = Callable[[Store], Any]

_PANICKED = 70
"""Exit status after a panic of the engine (EX_SOFTWARE)."""


class Engine:
    """Carries out work on the store, one after the other.

    It flushes after `idle_seconds` without work, when nobody has to wait for it, or when due.

    A flush that fails takes up to seconds on a busy disk, and searches wait for it. So there is
    none without room on the disk, and after one that failed the next comes `pause_seconds` later.
    """

    def __init__(
        self,
        store: Store,
        queue_size: int,
        idle_seconds: float,
        *,
        has_room: Callable[[], bool] = lambda: True,
        pause_seconds: float = 30.0,
    ) -> None:
        self._store = store
        self._idle_seconds = idle_seconds
        self._has_room = has_room
        self._pause_seconds = pause_seconds
        self._no_flush_before = -math.inf
        self._queue: queue.Queue[tuple[Work, float, Future[Any]] | None] = queue.Queue(queue_size)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, work: Work, timeout: float = math.inf) -> Future[Any]:
        """Queue the work. Raises Refusal 503 at once if the queue is full.

        Work whose turn comes after `timeout` seconds, or whose future was cancelled, isn't begun:
        nobody waits for it any more, and all others would.
        """
        future: Future[Any] = Future()
        try:
            self._queue.put_nowait((work, time.monotonic() + timeout, future))
        except queue.Full:
            raise busy() from None
        return future

    def close(self) -> None:
        """Finish what is queued, flush and give up the directory."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            timeout = None
            if self._store.has_unflushed():
                timeout = max(self._idle_seconds, self._no_flush_before - time.monotonic())
            try:
                item = self._queue.get(timeout=timeout)
            except queue.Empty:
                self._flush()
                continue
            if item is None:
                self._store.close()
                return
            self._carry_out(*item)
            # Work that never pauses must not put it off for ever.
            if time.monotonic() >= self._no_flush_before and self._store.flush_is_due():
                self._flush()

    def _carry_out(self, work: Work, deadline: float, future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        if time.monotonic() > deadline:
            future.set_exception(too_late())
            return
        try:
            future.set_result(work(self._store))
        except Exception as error:  # for the caller, who answers with it
            future.set_exception(error)
        except BaseException:
            # A panic in the engine leaves its locks poisoned. Only a fresh process that replays
            # the log can be trusted; the supervisor starts it.
            log.critical("engine_panicked", exc_info=True)
            os._exit(_PANICKED)

    def _flush(self) -> None:
        # Nothing acknowledged is lost without a flush, because it is in the log.
        self._no_flush_before = time.monotonic() + self._pause_seconds
        if not self._has_room():
            log.warning("disk_full", no_flush_for_seconds=self._pause_seconds)
            return
        try:
            self._store.flush()
        except Exception:
            log.exception("flush_failed", tried_again_in_seconds=self._pause_seconds)
        else:
            self._no_flush_before = -math.inf
