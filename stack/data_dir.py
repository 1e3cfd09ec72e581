"""The data directory of the embedded servers: one stack at a time, and how to reach its servers.

Nobody but its owner may look into it: it holds the catalogues, and the secrets of the servers.
"""

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"
_MARK: Final = "mark"
_A_MARK: Final = re.compile(r"([0-9a-f]{16}) (\d+)")
"""The mark, and the lock's inode: in a copy of the directory it is another one."""
_ADDRESSES: Final = "servers.json"
_OURS: Final = frozenset({"run", "redis", "redis-cache", "qdrant", "converted-models", "metrics"})
_OF_THE_DISK: Final = "lost+found"


class DataDirInUse(Exception):
    """Another stack, or a command that works on the same data, holds the directory."""


class DataDir:
    """Held by whoever runs servers on it. The kernel drops the lock with its last holder."""

    def __init__(self, path: Path) -> None:
        self._run = path / "run"
        self._descriptor: int | None = None

    def take(self, wait_seconds: float = 0.0) -> int:
        """Takes the directory; the lock's descriptor, for a process that shall hold it too.

        Raises `DataDirInUse` where another one keeps it for longer than `wait_seconds`.
        """
        self._run.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._run.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._run / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise DataDirInUse(
                        f"another process runs servers on {self._run.parent}; stop it, or name "
                        "another directory with DATA_DIR (and another port with API_PORT)"
                    ) from None
                time.sleep(0.1)
        (self._run / _ADDRESSES).unlink(missing_ok=True)  # those of one that was killed
        self._descriptor = descriptor
        self._tighten()
        return descriptor

    def release(self) -> None:
        """Gives the directory up, once the servers have ended."""
        if self._descriptor is not None:
            (self._run / _ADDRESSES).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def predecessor(self) -> str | None:
        """The mark of who led the servers before, if anybody.

        A leader that was killed together with its reaper has left its servers running. In a copy
        of a directory it is nobody: those servers are the original's.
        """
        try:
            told = _A_MARK.fullmatch((self._run / _MARK).read_text())
        except FileNotFoundError:
            return None
        return told[1] if told and int(told[2]) == self._lock_inode() else None

    def lead(self, mark: str) -> None:
        """Leaves word of who leads the servers from now on."""
        self._write(_MARK, f"{mark} {self._lock_inode()}")

    def announce(self, addresses: Mapping[str, str]) -> None:
        """Leaves word of how to reach the servers; names are settings."""
        self._write(_ADDRESSES, json.dumps(dict(addresses)))

    def addresses(self) -> Mapping[str, str] | None:
        """How to reach the running servers; None where nobody has left word."""
        try:
            found: Mapping[str, str] = json.loads((self._run / _ADDRESSES).read_text())
        except FileNotFoundError:
            return None
        return found

    def _lock_inode(self) -> int:
        return (self._run / _LOCK).stat().st_ino

    def _tighten(self) -> None:
        """Shuts others out of what an earlier version left open.

        The directory itself stays as it is where it holds other things than ours: it may be
        everybody's, as /tmp.
        """
        held = {path.name: path for path in self._run.parent.iterdir()}
        ours = [held[name] for name in _OURS.intersection(held)]
        if held.keys() <= {*_OURS, _OF_THE_DISK}:
            ours.append(self._run.parent)
        for folder in ours:
            with contextlib.suppress(PermissionError):  # it is another account's, a mount's say
                folder.chmod(0o700)

    def _write(self, name: str, text: str) -> None:
        unfinished = self._run / f"{name}.new"
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as it:
            it.write(text)
        unfinished.replace(self._run / name)
