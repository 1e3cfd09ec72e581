"""Threads that fetch pictures, shared among hosts so that none can hold them all."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

SHARE: Final = 3
"""A host holds at most so many times as many threads as stay free: three quarters if it is
alone, and less the more hosts there are, so that one more finds a thread. (Switches share buffers
among their ports like this: a dynamic threshold.)"""

_Task = tuple[str, Future[Any], Callable[[], Any]]


class HostThreads:
    """A pool of threads with one queue per host; the hosts take turns.

    If there is more to do, a thread goes on by itself: handing each picture to an executor's
    thread took a tenth of the time of those that a server says have not changed.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._most = self._free = threads
        self._name = name
        self._threads: list[threading.Thread] = []
        self._working: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = (
            OrderedDict()
        )
        self._begun: SimpleQueue[_Task | None] = SimpleQueue()
        """For threads that have nothing to do; None ends one."""
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, host: str, work: Callable[[], Result]) -> "Future[Result]":
        """Queues work that waits for this host. Work without a thread can be cancelled."""
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("no more pictures are read")
            self._waiting.setdefault(host, deque()).append((future, work))
            self._hand_out()
        return future

    def shutdown(self) -> None:
        """Cancels waiting calls, and returns once those in work have ended."""
        with self._lock:
            self._closed = True
            for queue in self._waiting.values():
                for future, _ in queue:
                    future.cancel()
            self._waiting.clear()
        for _ in self._threads:
            self._begun.put(None)
        for thread in self._threads:
            thread.join()

    def _hand_out(self) -> None:
        """Gives all that may begin to idle threads. The lock is held."""
        while (task := self._begin()) is not None:
            if self._most - self._free > len(self._threads):
                name = f"{self._name}_{len(self._threads)}"
                # Nobody waits for them if the process ends without a shutdown.
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._begun.put(task)

    def _begin(self) -> _Task | None:
        """Takes the next call that may begin. The lock is held."""
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
                return host, future, work
        return None

    def _next(self) -> str | None:
        return next(
            (host for host in self._waiting if self._working[host] < SHARE * self._free), None
        )

    def _serve(self) -> None:
        task = self._begun.get()
        while task is not None:
            # While it waits, a thread must not keep the last picture in memory.
            task = self._work_off(task)
            if task is None:
                task = self._begun.get()

    def _work_off(self, task: _Task) -> _Task | None:
        """Returns the call that the same thread runs next, if one may begin."""
        host, future, work = task
        try:
            future.set_result(work())
        except BaseException as err:
            future.set_exception(err)
        with self._lock:
            self._free += 1
            self._working[host] -= 1
            if not self._working[host]:
                del self._working[host]
            following = self._begin()
            self._hand_out()
        return following
