"""Ends this process if its work stands still, so that whoever watches it starts it anew.

There are two kinds of standing still. What holds the interpreter's lock, as an expression that
backtracks for ever does, keeps every thread of Python from running. Only a thread of C can end such
a process. What has let go of the lock, as a library that waits for ever does, is seen by a thread
of Python, which counts the seconds of each block.
"""

import faulthandler
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from shared.settings import Settings

log = structlog.get_logger(__name__)

_BEAT_SECONDS: Final = 1.0
_STDERR: Final = 2
_STATUS: Final = 1
"""A crash's status, and `faulthandler`'s: supervisors start such a process again."""


@dataclass(slots=True, eq=False)
class WatchedBlock:
    """Work that is timed: the seconds it has taken of those that it may take."""

    name: str
    bound: float
    taken: float = 0.0
    waits: bool = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """For others, as long as the block runs: that is not standing still."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False


class Watchdog:
    """One per process; safe to use from many threads. Until it is started it ends nothing.

    While anything is in work, a thread beats once a second. Each beat sets back the clock of a
    thread of C (`faulthandler.dump_traceback_later`), and counts the seconds of each block. No beat
    counts for more than two seconds, because a block does not stand still while the machine is
    suspended or busy. While nothing is in work no clock runs.
    """

    def __init__(self, decode_seconds: float = 60.0, forward_seconds: float = 180.0) -> None:
        """`decode_seconds` for a picture, `forward_seconds` for a pass through the model; nothing
        may hold the interpreter's lock for `decode_seconds`.
        """
        self._decode_seconds = decode_seconds
        self._forward_seconds = forward_seconds
        self._beat_seconds = min(_BEAT_SECONDS, decode_seconds / 4)
        self._blocks: set[WatchedBlock] = set()
        self._loading = 0
        self._started = False
        self._armed = False
        self._lock = threading.Lock()
        self._in_work = threading.Event()

    @classmethod
    def of(cls, settings: Settings) -> "Watchdog":
        """With the bounds of the settings."""
        return cls(settings.watchdog_decode_seconds, settings.watchdog_forward_seconds)

    def start(self) -> None:
        """Begins to watch, also the blocks that are in work already."""
        with self._lock:
            self._started = True
            self._arm()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    @contextmanager
    def decoding(self) -> Iterator[WatchedBlock]:
        """The block turns one picture or text from outside into the model's input."""
        with self._watched("decoding", self._decode_seconds) as block:
            yield block

    @contextmanager
    def forward_pass(self) -> Iterator[None]:
        """The block runs the model once."""
        with self._watched("forward pass", self._forward_seconds):
            yield

    @contextmanager
    def work(self) -> Iterator[None]:
        """The block may take as long as it likes, but not hold the interpreter's lock."""
        with self._watched("work", math.inf):
            yield

    @contextmanager
    def loading(self) -> Iterator[None]:
        """The block loads or compiles a model: meanwhile no clock runs, for none would be right."""
        with self._lock:
            self._loading += 1
            self._disarm()
        try:
            yield
        finally:
            with self._lock:
                self._loading -= 1
                self._arm()

    @contextmanager
    def _watched(self, name: str, bound: float) -> Iterator[WatchedBlock]:
        block = WatchedBlock(name, bound)
        with self._lock:
            self._blocks.add(block)
            if not self._armed:
                self._arm()
        try:
            yield block
        finally:
            with self._lock:
                self._blocks.discard(block)

    def _arm(self) -> None:
        """Sets the clock in C, anew if it runs. The lock is held, as in all that follow."""
        if self._started and self._blocks and not self._loading:
            faulthandler.dump_traceback_later(self._decode_seconds, exit=True, file=_STDERR)
            self._armed = True
            self._in_work.set()

    def _disarm(self) -> None:
        if self._armed:
            faulthandler.cancel_dump_traceback_later()
            self._armed = False
            self._in_work.clear()

    def _run(self) -> None:
        while True:
            self._in_work.wait()
            before = time.monotonic()
            time.sleep(self._beat_seconds)
            with self._lock:
                self._beat(min(time.monotonic() - before, 2 * self._beat_seconds))

    def _beat(self, seconds: float) -> None:
        if self._loading or not self._blocks:
            self._disarm()
            return
        self._arm()
        for block in self._blocks:
            if not block.waits:
                block.taken += seconds
            if block.taken > block.bound:
                _end(block)


def _end(block: WatchedBlock) -> None:
    """Logs a line and each thread's stack. If that hangs, the clock in C still runs."""
    log.critical("stands_still", step=block.name, seconds=round(block.taken))
    faulthandler.dump_traceback(file=_STDERR, all_threads=True)
    os._exit(_STATUS)
