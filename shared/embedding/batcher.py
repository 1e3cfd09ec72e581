"""Fills batches from many threads' items and runs them in one thread that owns the model."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

import structlog

from shared.errors import EncoderBusy, ItemCode, ItemPermanent

log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """One thread, one bounded queue, one function that turns n items into n results.

    The thread takes up to `max_batch` waiting items, at most `max_wait` seconds after the first one
    came. While a batch runs, the next one gathers. A batch that raises is split in halves until the
    culprit stands alone: it fails, and the others succeed.

    Urgent items have a queue of their own and overtake the others. Their batches are apart, because
    a lone urgent item then costs a pass of one. While both kinds wait, the batches alternate: each
    kind waits for one batch of the other at most.

    A caller without a deadline waits without end, because giving up would only throw away finished
    work. The watchdog ends a process with a batch that never ends.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        max_batch: int,
        max_wait: float,
        capacity: int,
        probe: Callable[[], object] | None = None,
    ) -> None:
        """`run` returns each item's result or exception. `probe` runs an item that is known to be
        good. It is called when an item fails alone: if it raises, too, the fault is the model's.
        """
        self._name = name
        self._run = run
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._capacity = capacity
        self._probe = probe
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._urgent: deque[tuple[Item, Future[Result]]] = deque()
        self._ran_urgent = False
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def submit(
        self, item: Item, timeout: float | None, *, urgent: bool = False
    ) -> "Future[Result]":
        """Queue an item. `timeout`: the most seconds to wait for a free slot; None: no limit.

        `capacity` holds for each of the two queues, so that a full one keeps no urgent item out.

        Raises EncoderBusy if the queue stays full or the batcher has been stopped.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        queue = self._urgent if urgent else self._waiting
        with self._changed:
            while len(queue) >= self._capacity and not self._stopping:
                self._ensure_thread()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise EncoderBusy(
                        f"The {self._name} encoder has {self._capacity} waiting already.", 1.0
                    )
                self._changed.wait(left)
            if self._stopping:
                raise EncoderBusy(f"The {self._name} encoder is shutting down.")
            future: Future[Result] = Future()
            queue.append((item, future))
            self._ensure_thread()
            self._changed.notify_all()
        return future

    def result(self, future: "Future[Result]", timeout: float | None) -> Result:
        """A submitted item's result. `timeout`: the most seconds to wait; None: no limit.

        Raises EncoderBusy when the time is up, and the item's own exception. An item that still
        waits when the time is up is never run.
        """
        wait([future], timeout)
        if not future.done():
            future.cancel()
            raise EncoderBusy(f"The {self._name} encoder took too long to answer.", 1.0)
        return future.result()

    def stop(self, timeout: float) -> None:
        """Take no more items, finish those that wait, end the thread within `timeout` seconds.

        Items that aren't finished by then fail with EncoderBusy.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        self._fail_waiting(f"The {self._name} encoder is shutting down.")

    def _ensure_thread(self) -> None:
        """Start the thread, anew if it has died. The lock is held."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._work, name=f"{self._name}-batcher", daemon=True
            )
            self._thread.start()

    def _work(self) -> None:
        batch: list[tuple[Item, Future[Result]]] = []
        try:
            while batch := self._take():
                self._complete(batch)
        except BaseException:
            # Nothing may leave callers waiting for a thread that is gone. The next submit starts
            # another one.
            log.exception("batcher_died", encoder=self._name)
            for _, future in batch:
                _settle(future, EncoderBusy(f"The {self._name} encoder broke down."))
            self._fail_waiting(f"The {self._name} encoder broke down.")

    def _take(self) -> "list[tuple[Item, Future[Result]]]":
        """The next batch; empty when stopped and drained."""
        with self._changed:
            while True:
                while not self._queued() and not self._stopping:
                    self._changed.wait()
                self._gather()
                queue = self._next_queue()
                batch: list[tuple[Item, Future[Result]]] = []
                while queue and len(batch) < self._max_batch:
                    item, future = queue.popleft()
                    # False if the caller has given up: nobody waits for that result any more.
                    if future.set_running_or_notify_cancel():
                        batch.append((item, future))
                self._changed.notify_all()
                if batch or (self._stopping and not self._queued()):
                    self._ran_urgent = queue is self._urgent
                    return batch

    def _queued(self) -> int:
        return len(self._urgent) + len(self._waiting)

    def _next_queue(self) -> "deque[tuple[Item, Future[Result]]]":
        if self._urgent and self._waiting:
            return self._waiting if self._ran_urgent else self._urgent
        return self._urgent or self._waiting

    def _gather(self) -> None:
        """Wait a little for a fuller batch. The lock is held, but given away while waiting."""
        deadline = time.monotonic() + self._max_wait
        while self._queued() < self._max_batch and not self._stopping:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(left)

    def _complete(self, batch: "list[tuple[Item, Future[Result]]]") -> None:
        """Run a batch and settle its futures; on an error, halve it."""
        try:
            results = self._run([item for item, _ in batch])
            pairs = list(zip(batch, results, strict=True))
        except Exception as err:
            if len(batch) == 1:
                _settle(batch[0][1], self._verdict(err))
                return
            log.warning("batch_failed", encoder=self._name, size=len(batch), error=str(err))
            middle = len(batch) // 2
            self._complete(batch[:middle])
            self._complete(batch[middle:])
            return
        for (_, future), result in pairs:
            _settle(future, result)

    def _verdict(self, err: Exception) -> Exception:
        """The fault of an item that failed alone: its own, or the model's."""
        if self._probe is not None:
            try:
                self._probe()
            except Exception as probe_err:
                log.exception("encoder_fails_on_good_input", encoder=self._name)
                fault: Exception = EncoderBusy(f"The {self._name} encoder fails on everything.")
                fault.__cause__ = probe_err
                return fault
        log.warning("item_not_embedded", encoder=self._name, error=str(err))
        fault = ItemPermanent(ItemCode.EMBEDDING_FAILED, "The model could not embed it.")
        fault.__cause__ = err
        return fault

    def _fail_waiting(self, message: str) -> None:
        with self._changed:
            while self._queued():
                _, future = (self._urgent or self._waiting).popleft()
                if future.set_running_or_notify_cancel():
                    _settle(future, EncoderBusy(message))
            self._changed.notify_all()


def _settle(future: "Future[Result]", outcome: Result | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
