"""A demo that runs as a process, and what in the system belongs to it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What a user may have in the environment for a service of their own.
FOREIGN_SETTINGS = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "REDIS_CACHE_URL": "redis://127.0.0.1:1/0",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "QDRANT_URL": "http://127.0.0.1:1",
    "CLIP_MODEL": "no-such-model",
    "API_HOST": "0.0.0.0",
    "API_PORT": "1",
    "API_KEYS_FILE": "/no/such/file",
    "IMAGE_ALLOWED_NETWORKS": "",
    "DATA_DIR": "/no/such/directory",
    "HTTP_PROXY": "http://127.0.0.1:1",
}

# Like make, it only waits for what it started.
_MAKE = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"

_GONE_SECONDS = 5.0
"""After this long nothing may be left."""


class Process:
    """A process's number with its start, which together never come back."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.command = Path(f"/proc/{pid}/cmdline").read_bytes()
        self._start = _stat(pid)[19]

    def is_alive(self) -> bool:
        try:
            fields = _stat(self.pid)
        except OSError:
            return False
        return fields[19] == self._start and fields[0] not in (b"Z", b"X")

    def ports(self) -> set[int]:
        """Where it listens."""
        sockets = set()
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{self.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    sockets.add(str(entry.readlink()))
        return {port for inode, port in _listening() if f"socket:[{inode}]" in sockets}


class DemoProcess:
    """`python -m demo`, on its own or through a parent like make."""

    def __init__(self, folder: Path, *arguments: str, through_make: bool = False) -> None:
        self._temp = folder / "tmp"
        self._temp.mkdir()
        self._output = folder / "output.txt"
        self._mark = f"DEMO_TEST={folder}"
        environ = {
            **os.environ,
            **FOREIGN_SETTINGS,
            "TMPDIR": str(self._temp),
            "DEMO_TEST": str(folder),
        }
        environ.pop("MAKELEVEL", None)
        command = [sys.executable, "-m", "demo", *arguments]
        if through_make:
            environ["MAKELEVEL"] = "1"
            command = [sys.executable, "-c", _MAKE, *command]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str, seconds: float = 100) -> None:
        """Returns once the output holds `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.01)

    def tree(self) -> list[Process]:
        """The first process and all that descend from it."""
        children: dict[int, list[int]] = {}
        for pid in _pids():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(pid)[1]), []).append(pid)
        pids = [self.process.pid]
        for pid in pids:
            pids.extend(children.get(pid, []))
        found = []
        for pid in pids:
            with contextlib.suppress(OSError):
                found.append(Process(pid))
        return found

    def assert_nothing_is_left(self, of: list[Process], ports: set[int]) -> None:
        """Within the promised time none of the processes and ports, and no file."""
        deadline = time.monotonic() + _GONE_SECONDS
        while left := self._left(of, ports):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)

    def end(self) -> None:
        """Kills whatever is left, for a test that went wrong."""
        for process in self.tree():
            if process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        self.process.wait()

    def _left(self, processes: list[Process], ports: set[int]) -> list[str]:
        # Some were started after the tree was looked at; these have the mark.
        started_later = []
        for pid in _pids():
            with contextlib.suppress(OSError):
                if self._mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    started_later.append(f"process {pid}")
        return [
            *(f"{process.pid} {process.command!r}" for process in processes if process.is_alive()),
            *started_later,
            *(f"port {port}" for _, port in _listening() if port in ports),
            *map(str, self._temp.iterdir()),
        ]


def listening_ports(processes: list[Process]) -> set[int]:
    """All ports that these processes listen on."""
    return {port for process in processes for port in process.ports()}


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[bytes]:
    """State, parent's pid… as proc(5) lists them, without pid and name."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def _listening() -> list[tuple[str, int]]:
    """(inode, port) of every listening TCP socket."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return [(row[9], int(row[1].rpartition(":")[2], 16)) for row in fields if row[3] == "0A"]
