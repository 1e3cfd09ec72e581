"""Ends processes with the one that started them, however it ends, and removes its directories.

A process killed with -9 can't stop what it started. The kernel can: a process asks it for a signal
at its parent's end, and `setpriv --pdeathsig` (util-linux) asks on behalf of any command.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SETPRIV: Final = ("setpriv", "--pdeathsig", "KILL", "--")

_REMOVING_SECONDS: Final = 3.0
"""A killed process writes no more after a few milliseconds."""

_REMOVE_LATER: Final = 'read -r line; sleep 1; exec rm -rf -- "$@"'
"""`read` returns at the end of stdin, which comes with our own end. The processes that end with us
may write for a moment longer."""


def ending_with_us() -> Sequence[str]:
    """The words before a command that have it killed at the end of the thread that starts it.

    Empty if this system has no such `setpriv`: macOS has none, and others know no `--pdeathsig`.
    A process that the command starts in its turn does not inherit this.
    """
    try:
        subprocess.run(  # noqa: S603 - our own command line
            [*_SETPRIV, "true"], capture_output=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return _SETPRIV


class Remover:
    """A process that removes directories after our end, unless it is called off."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Starts it. Raises `OSError`."""
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            ["/bin/sh", "-c", _REMOVE_LATER, "sh", *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C and the terminal's end are meant for us, not for it.
            start_new_session=True,
        )

    def call_off(self) -> None:
        """Ends it with nothing removed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def remove(folder: Path) -> None:
    """Removes a directory in which killed processes may still write; it need not exist."""
    deadline = time.monotonic() + _REMOVING_SECONDS
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            return
