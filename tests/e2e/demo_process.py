"""A demo that runs as a process, and what in the system belongs to it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.processes import Process, listening, pids, process_tree

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

_GONE_SECONDS = 60.0
"""After this long nothing may be left. It takes a second on an idle machine."""


class DemoProcess:
    """`python -m demo`, on its own or through make."""

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
        command = [sys.executable, "-m", "demo", *arguments]
        if through_make:
            # As it is, but for the set-up of an environment.
            given = (f"BIN={Path(sys.executable).parent}", f"DEMO_ARGS={' '.join(arguments)}")
            command = ["make", "--old-file=venv", "demo", *given]
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
        return process_tree(self.process.pid)

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
        for pid in pids():
            with contextlib.suppress(OSError):
                if self._mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    started_later.append(f"process {pid}")
        return [
            *(f"{process.pid} {process.command!r}" for process in processes if process.is_alive()),
            *started_later,
            *(f"port {port}" for _, port in listening() if port in ports),
            *map(str, self._temp.iterdir()),
        ]
