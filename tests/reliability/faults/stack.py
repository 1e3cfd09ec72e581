"""The embedded stack with workers that die on order, and its processes within a test's reach."""

import os
import signal
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import redis
from supervisor.xmlrpc import SupervisorTransport

from shared.settings import Settings
from stack.run import Stack
from tests.reliability.faults.orders import Orders

T = TypeVar("T")

_APPS = {
    "worker.app": "tests.reliability.faults.stopping_worker",
    "api.wsgi:app": "tests.reliability.faults.stopping_api:app",
}


class FaultyStack(Stack):
    """As `make run` starts it, but for the apps of API and workers."""

    def __init__(
        self, settings: Settings, *, log_dir: Path, apps: Mapping[str, str] = _APPS
    ) -> None:
        super().__init__(settings, log_dir=log_dir)
        self._apps = apps

    @property
    def orders(self) -> Orders:
        """What its workers listen to."""
        return Orders(self.data_dir)

    def _commands(self) -> dict[str, str]:
        commands = super()._commands()
        for app, instead in self._apps.items():
            commands = {name: command.replace(app, instead) for name, command in commands.items()}
        return commands

    def pid(self, process: str) -> int:
        """The process' id now; 0 while it is being started."""
        found = [info["pid"] for info in self.processes() if info["name"] == process]
        return int(found[0]) if found else 0

    def kill(self, process: str) -> int:
        """kill -9 from outside, whatever it does; returns the id it had."""
        pid = eventually(lambda: self.pid(process), 60, f"{process} to run")
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

    @contextmanager
    def stopped(self, process: str) -> Iterator[None]:
        """SIGTERM, and started again at the end; meanwhile nobody listens."""
        with self._control() as control:
            control.stopProcess(process)
            try:
                yield
            finally:
                control.startProcess(process)

    @contextmanager
    def _control(self) -> Iterator[Any]:
        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        with closing(transport):
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def kill_all(self) -> int:
        """kill -9 of all processes at once, the supervisor first, or it would start them again.

        Returns how many there were.
        """
        assert self._supervisor is not None
        pids = [info["pid"] for info in self.processes()]
        self._supervisor.kill()
        for pid in pids:
            # gunicorn's second process, too: each program of the supervisor leads a group.
            with suppress(ProcessLookupError):  # the kernel was faster
                os.killpg(pid, signal.SIGKILL)
        self._supervisor.wait(60)
        # As if the leader, this very process, were killed along with them.
        self._clear_away()
        return len(pids) + 1

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
