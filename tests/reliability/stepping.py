"""Runs a worker's task step by step, so that a test decides what happens between any two steps."""

import threading
from collections.abc import Callable
from typing import Any

_running = threading.local()
_PATIENCE_SECONDS = 60.0


class Stopped(BaseException):
    """The worker dies here. Not an Exception: nothing in the worker may survive it."""


class Task:
    """`run` in a thread of its own that moves only while `advance` waits for it.

    So at any moment one thread runs at most, and the same choices give the same run.
    """

    def __init__(self, run: Callable[[], object]) -> None:
        self.at = "start"
        self.done = False
        self._run = run
        self._error: BaseException | None = None
        self._stopping = False
        self._go = threading.Semaphore(0)
        self._rested = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def advance(self) -> None:
        """On to the next checkpoint, or to the end; raises what the task raised."""
        self._go.release()
        assert self._rested.acquire(timeout=_PATIENCE_SECONDS), f"stuck after {self.at}"
        if self.done:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Kills the task where it rests."""
        self._stopping = True
        self.advance()
        assert self.done

    def rest(self, at: str) -> None:
        """Called by the task itself: waits for its next turn."""
        self.at = at
        self._rested.release()
        self._await_turn()

    def _await_turn(self) -> None:
        self._go.acquire()
        if self._stopping:
            raise Stopped

    def _main(self) -> None:
        _running.task = self
        try:
            self._await_turn()
            self._run()
        except Stopped:
            pass
        except BaseException as err:
            self._error = err
        finally:
            self.done = True
            self._rested.release()


def checkpoint(at: str) -> None:
    """A place between two steps. Means nothing to threads that are not a task's own."""
    task = getattr(_running, "task", None)
    if task is not None:
        task.rest(at)


class Gated:
    """A collaborator with a checkpoint before and after each of its calls."""

    def __init__(self, real: object, name: str) -> None:
        self._real = real
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._real, attribute)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            checkpoint(f"before {self._name}.{attribute}")
            result = value(*args, **kwargs)
            checkpoint(f"after {self._name}.{attribute}")
            return result

        return call
