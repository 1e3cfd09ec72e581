"""Processes of this machine as /proc shows them: what descends from one, and where it listens."""

import contextlib
from pathlib import Path


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
        return {port for inode, port in listening() if f"socket:[{inode}]" in sockets}


def process_tree(first: int) -> list[Process]:
    """The process of this number and all that descend from it."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(pid)[1]), []).append(pid)
    wanted = [first]
    for pid in wanted:
        wanted.extend(children.get(pid, []))
    found = []
    for pid in wanted:
        with contextlib.suppress(OSError):
            found.append(Process(pid))
    return found


def listening_ports(processes: list[Process]) -> set[int]:
    """All ports that these processes listen on."""
    return {port for process in processes for port in process.ports()}


def pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[bytes]:
    """State, parent's pid… as proc(5) lists them, without pid and name."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def listening() -> list[tuple[str, int]]:
    """(inode, port) of every listening TCP socket."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return [(row[9], int(row[1].rpartition(":")[2], 16)) for row in fields if row[3] == "0A"]
