"""The data directory of the embedded servers: one stack at a time, and how to reach its servers.

Nobody but its owner may look into it: it holds the catalogues, and the secrets of the servers.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stack.locks import lock

_LOCK: Final = "lock"
_ADDRESSES: Final = "servers.json"
_OURS: Final = frozenset({"run", "redis", "redis-cache", "qdrant", "converted-models", "metrics"})
_OF_THE_DISK: Final = "lost+found"


class DataDirInUse(Exception):
    """Another stack, or a command that works on the same data, holds the directory."""


class DataDir:
    """Held by the process that runs servers on it; the kernel drops the lock at its end."""

    def __init__(self, path: Path) -> None:
        self._run = path / "run"
        self._descriptor: int | None = None

    def take(self, wait_seconds: float = 0.0) -> None:
        """Takes the directory.

        Raises `DataDirInUse` if another process keeps it for longer than `wait_seconds`, and
        `OSError` if it can't be written to.
        """
        self._run.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._run.mkdir(mode=0o700, exist_ok=True)
        try:
            self._descriptor = lock(self._run / _LOCK, wait_seconds)
        except BlockingIOError:
            raise DataDirInUse(
                f"another process runs servers on {self._run.parent}; stop it, or name "
                "another directory with DATA_DIR (and another port with API_PORT)"
            ) from None
        (self._run / _ADDRESSES).unlink(missing_ok=True)  # those of one that was killed
        self._tighten()

    def release(self) -> None:
        """Gives the directory up, once the servers have ended."""
        if self._descriptor is not None:
            (self._run / _ADDRESSES).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def announce(self, addresses: Mapping[str, str]) -> None:
        """Writes down how to reach the servers, by the names of settings. Raises `OSError`."""
        unfinished = self._run / f"{_ADDRESSES}.new"
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(dict(addresses)))
        unfinished.replace(self._run / _ADDRESSES)

    def addresses(self) -> Mapping[str, str] | None:
        """How to reach the running servers; None if no running stack has written it down."""
        try:
            found: Mapping[str, str] = json.loads((self._run / _ADDRESSES).read_text())
        except FileNotFoundError:
            return None
        return found

    def _tighten(self) -> None:
        """Closes directories that are open to other accounts.

        The data directory itself stays as it is if it holds other things than ours, because it may
        be open to all accounts by intention, as /tmp is.
        """
        held = {path.name: path for path in self._run.parent.iterdir()}
        ours = [held[name] for name in _OURS.intersection(held)]
        if held.keys() <= {*_OURS, _OF_THE_DISK}:
            ours.append(self._run.parent)
        for folder in ours:
            with contextlib.suppress(PermissionError):  # it is another account's, a mount's say
                folder.chmod(0o700)
