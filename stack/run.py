"""The whole service on one machine: the Procfile's processes, supervised.

An embedded server is started for every one of REDIS_URL, REDIS_CACHE_URL and QDRANT_URL that is
not set, on a free port of loopback, behind a secret that is made at each start. A process that dies
is started again; one that stops because of its settings ends the stack.
"""

import contextlib
import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from supervisor.xmlrpc import SupervisorTransport

from shared.ready_marks import is_marked
from shared.settings import Settings
from stack.data_dir import DataDir, DataDirInUse
from stack.endings import Remover, ending_with_us, remove
from stack.ports import CannotListen, check_listening, free_port
from stack.reserve import Reserve
from stack.supervision import STOP_SECONDS, has_given_up, supervisor_config

ROOT: Final = Path(__file__).resolve().parents[1]

_EMBEDDED: Final = {
    "redis": ("redis_url", "redis://:{secret}@127.0.0.1:{port}/0"),
    "redis-cache": ("redis_cache_url", "redis://:{secret}@127.0.0.1:{port}/0"),
    "qdrant": ("qdrant_url", "http://127.0.0.1:{port}"),
}
_START_ORDER: Final = ("redis", "redis-cache", "qdrant", "api", "worker", "worker-fast")
_WORKERS: Final = frozenset({"worker", "worker-fast"})

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - names in it can't be guessed
_ON_DISK: Final = Path("/tmp")  # noqa: S108 - the same; a socket's path may have 107 bytes

_METRICS_BYTES: Final = 16 * 2**20
"""The processes' metrics take a tenth of it."""

_PREDECESSOR_SECONDS: Final = 5.0
"""A stack that was just killed has ended all its processes within this."""


class StackError(Exception):
    """The stack can't start or go on; the message says which process and where to look."""


class Stack:
    """Starts, watches and stops the processes. Use it as a context manager.

    The processes end with the thread that starts them, however it ends, if the system has what
    that takes (`ends_with_us`).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log_dir: Path | None = None,
        scratch: Path | None = None,
        only: Collection[str] = _START_ORDER,
    ) -> None:
        """`log_dir`: logs go to files there instead of stdout. `scratch`: a directory around the
        data that is removed in the end, so that processes are killed rather than asked to stop.
        `only`: the processes to start, if not all of the Procfile's are wanted.

        The settings that were given (by the environment, `.env` or the caller) reach all processes.
        """
        self.settings = settings
        self.data_dir = settings.data_dir.resolve()
        self._scratch = scratch
        self._log_dir = log_dir
        self._only = only
        self._held = DataDir(self.data_dir)
        given = settings.model_fields_set
        self._embedded = [
            name for name, (field, _) in _EMBEDDED.items() if name in only and field not in given
        ]
        inherited = os.environ  # noqa: TID251 - handed on as a whole, not read
        environ = {**inherited, **settings.as_environ()}
        if log_dir is None and settings.log_format == "auto" and sys.stdout.isatty():
            environ["LOG_FORMAT"] = "console"  # the processes see a pipe
        self._ending = ending_with_us()
        # In memory: a metric is written through a mapping, and if the disk had no room for a page
        # of it, the kernel would kill the process.
        self.metrics_in_memory = _has_room(_IN_MEMORY)
        around = _IN_MEMORY if self.metrics_in_memory else _ON_DISK
        self.runtime_dir = around / f"vitrine-{secrets.token_hex(8)}"
        """Holds the supervisor's socket and, in memory, the metrics; removed in the end."""
        self._metrics_dir = (
            self.runtime_dir if self.metrics_in_memory else self.data_dir
        ) / "metrics"
        self.environ = {
            **environ,
            "DATA_DIR": str(self.data_dir),
            "PATH": f"{Path(sys.executable).parent}:{environ.get('PATH', os.defpath)}",
            "PROMETHEUS_MULTIPROC_DIR": str(self._metrics_dir),
        }
        if scratch:
            # Libraries leave things in the directory for temporary files; PyTorch does.
            self.environ["TMPDIR"] = str(scratch)
        # Any account of this machine can connect to loopback. Handed on by the environment alone:
        # command lines are for all to read.
        secret = secrets.token_urlsafe(32)
        self.addresses = {
            field: url.format(port=free_port(), secret=secret)
            for field, url in (_EMBEDDED[name] for name in self._embedded)
        }
        """How to reach the embedded servers: values of settings by the settings' names."""
        if "qdrant" in self._embedded:
            self.addresses["qdrant_api_key"] = secret
        self.environ |= {field.upper(): value for field, value in self.addresses.items()}
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._remover: Remover | None = None

    @property
    def ends_with_us(self) -> bool:
        """Whether no process outlives us even if we are killed with -9."""
        return bool(self._ending)

    @property
    def logs_are_for_people(self) -> bool:
        """Whether the processes write lines for people to stdout, not JSON."""
        return self.environ.get("LOG_FORMAT") == "console"

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://{self.settings.api_host}:{self.settings.api_port}"

    @property
    def names(self) -> Sequence[str]:
        """The processes that it runs, in the order of their start."""
        return list(self._commands())

    def start(self) -> None:
        """Starts all processes; returns before they are ready.

        Raises `StackError` if another stack runs on the same data, or something else listens on
        the API's port; nothing was touched then.
        """
        try:
            self._held.take(_PREDECESSOR_SECONDS)
        except DataDirInUse as err:
            raise StackError(str(err)) from err
        except OSError as err:
            raise StackError(
                f"DATA_DIR={self.data_dir}: can't be written to ({err.strerror})"
            ) from err
        try:
            if "api" in self._only:
                check_listening(self.settings.api_host, self.settings.api_port)
        except BaseException as err:
            self._held.release()
            if isinstance(err, CannotListen):
                raise StackError(str(err)) from err
            raise
        try:
            self._start_processes()
        except OSError as err:
            self._clear_away()
            raise StackError(f"DATA_DIR={self.data_dir}: {err.strerror}") from err

    def _start_processes(self) -> None:
        Reserve(self.data_dir / "qdrant").give_up_if_needed()
        self._remover = Remover([self.runtime_dir, *([self._scratch] if self._scratch else [])])
        # Counters start at zero with the stack; files of an earlier one would be added to them.
        remove(self._metrics_dir)
        for folder in (self.runtime_dir, self._metrics_dir, self._log_dir):
            if folder:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self.data_dir / "run" / "supervisord.conf"
        ending = " ".join(self._ending)
        commands = {name: f"{ending} {line}".lstrip() for name, line in self._commands().items()}
        with config.open("w") as file:
            supervisor_config(
                commands, self._socket, self._log_dir, kill=self._scratch is not None
            ).write(file)
        self._held.announce(self.addresses)
        self._supervisor = subprocess.Popen(  # noqa: S603 - our own command line
            [
                *self._ending,
                *(sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(config)),
            ],
            env=self.environ,
            cwd=ROOT,
            # Files of the processes are for their own account alone. (The supervisor's own
            # setting for it counts for daemons.)
            umask=0o077,
            # Ctrl-C reaches us alone; we stop the others in order.
            start_new_session=True,
            stdout=subprocess.DEVNULL if self._log_dir else None,
            stderr=subprocess.DEVNULL if self._log_dir else None,
        )

    def wait_until_ready(self, seconds: float) -> None:
        """Returns once the API answers that all its parts work, and the workers take up work.

        Raises `StackError`.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            if self._is_ready() and self._workers_are_ready():
                return
            time.sleep(0.2)
        raise StackError(f"not ready within {seconds:.0f} s; {self._where_to_look()}")

    def check(self) -> None:
        """Raises `StackError` if a process has given up, or the supervisor has ended."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            raise StackError("the supervisor has ended")
        for process in self.processes():
            if has_given_up(process):
                raise StackError(
                    f"{process['name']} has stopped (exit code {process['exitstatus']}); "
                    f"{self._where_to_look()}"
                )

    def processes(self) -> list[dict[str, Any]]:
        """The supervisor's facts about each process: name, pid, statename, exitstatus…"""
        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        # The socket appears a moment after the supervisor starts.
        with (
            contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Fault),
            contextlib.closing(transport),
        ):
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return list(proxy.supervisor.getAllProcessInfo())  # type: ignore[arg-type]
        return []

    def stop(self) -> None:
        """Stops all processes, gracefully first; returns when they are gone."""
        if self._supervisor is None:
            return
        self._supervisor.terminate()
        deadline = time.monotonic() + STOP_SECONDS + 5
        while self._supervisor.poll() is None and time.monotonic() < deadline:
            self._wake_supervisor()
            time.sleep(0.05)
        self._supervisor.kill()
        self._supervisor.wait()
        self._clear_away()
        if self._scratch:
            remove(self._scratch)

    def _wake_supervisor(self) -> None:
        # It stops one process after the other, and looks once a second, or when someone connects,
        # whether that one has ended. Left alone it would take six seconds for six processes.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as waking:
            waking.settimeout(1)
            waking.connect(str(self._socket))

    def _clear_away(self) -> None:
        remove(self.runtime_dir)
        if self._remover:
            self._remover.call_off()
            self._remover = None
        self._held.release()

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _socket(self) -> Path:
        return self.runtime_dir / "supervisor.sock"

    def _commands(self) -> dict[str, str]:
        lines = (ROOT / "Procfile").read_text().splitlines()
        commands = dict(line.split(": ", 1) for line in lines if line)
        return {
            name: commands[name]
            for name in _START_ORDER
            if name in self._only and (name not in _EMBEDDED or name in self._embedded)
        }

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(
            self.settings.api_host, self.settings.api_port, timeout=5
        )
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _workers_are_ready(self) -> bool:
        pids = {process["name"]: process["pid"] for process in self.processes()}
        return all(
            is_marked(self._metrics_dir, name, pids.get(name))
            for name in _WORKERS.intersection(self.names)
        )

    def _where_to_look(self) -> str:
        place = f"in {self._log_dir}" if self._log_dir else "above"
        return f"its log {place} says why"


def _has_room(folder: Path) -> bool:
    # Not there on some systems, and small in some containers.
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= _METRICS_BYTES
