"""Threads that fetch pictures, shared among hosts so that none can hold them all."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

SHARE: Final = 3
"""A host holds at most so many times as many threads as stay free: three quarters where it is
alone, and less the more hosts there are, so that one more finds a thread. (Switches share buffers
among their ports like this: a dynamic threshold.)"""


class HostThreads:
    """A pool of threads with one queue per host; the hosts take turns."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._working: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = (
            OrderedDict()
        )
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, host: str, work: Callable[[], Result]) -> "Future[Result]":
        """Queues work that waits for this host. What has no thread yet can be cancelled."""
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("no more pictures are read")
            self._waiting.setdefault(host, deque()).append((future, work))
            self._start()
        return future

    def shutdown(self) -> None:
        """Cancels what waits, and returns once what is in work has ended."""
        with self._lock:
            self._closed = True
            for queue in self._waiting.values():
                for future, _ in queue:
                    future.cancel()
            self._waiting.clear()
        self._pool.shutdown(wait=True)

    def _start(self) -> None:
        """Starts all that may. The lock is held."""
        while (host := self._next()) is not None:
            queue = self._waiting[host]
            future, work = queue.popleft()
            if queue:
                self._waiting.move_to_end(host)
            else:
                del self._waiting[host]
            if future.set_running_or_notify_cancel():
                self._working[host] += 1
                self._free -= 1
                self._pool.submit(self._run, host, future, work)

    def _next(self) -> str | None:
        return next(
            (host for host in self._waiting if self._working[host] < SHARE * self._free), None
        )

    def _run(self, host: str, future: "Future[Result]", work: Callable[[], Result]) -> None:
        try:
            future.set_result(work())
        except BaseException as err:
            future.set_exception(err)
        finally:
            with self._lock:
                self._free += 1
                self._working[host] -= 1
                if not self._working[host]:
                    del self._working[host]
                self._start()
