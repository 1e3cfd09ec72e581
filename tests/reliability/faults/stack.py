"""The embedded stack with workers that die on order, and its processes within a test's reach."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import redis

from shared.embedded.stack import Stack
from tests.reliability.faults.orders import Orders

T = TypeVar("T")

_APP = "worker.app"
_APP_THAT_STOPS = "tests.reliability.faults.stopping_worker"


class FaultyStack(Stack):
    """As `make run` starts it, but for the workers' Celery app."""

    @property
    def orders(self) -> Orders:
        """What its workers listen to."""
        return Orders(self.data_dir)

    def _commands(self) -> dict[str, str]:
        return {
            name: command.replace(_APP, _APP_THAT_STOPS)
            for name, command in super()._commands().items()
        }

    def pid(self, process: str) -> int:
        """The process' id now; 0 while it is being started."""
        found = [info["pid"] for info in self.processes() if info["name"] == process]
        return int(found[0]) if found else 0

    def kill(self, process: str) -> int:
        """kill -9 from outside, whatever it does; returns the id it had."""
        pid = eventually(lambda: self.pid(process), 10, f"{process} to run")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    @contextmanager
    def frozen(self, process: str) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end: alive for the kernel, and answering nobody."""
        pid = self.pid(process)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def redis(self, name: str = "REDIS_URL") -> redis.Redis:
        """A client of one of its Redis servers; the caller closes it."""
        return redis.Redis.from_url(self.environ[name], decode_responses=True, socket_timeout=5)


def eventually(ask: Callable[[], T], seconds: float, what: str) -> T:
    """The first answer that is true. Fails after the seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)
    return answer
