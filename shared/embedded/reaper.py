"""Ends a stack whose leader is gone, however it went: `python -m shared.embedded.reaper`.

A leader killed with -9 can't stop what it started. So it starts this small process first, which
waits for the leader's end (and, under make, for make's) and then ends every process that carries
the stack's mark in its environment. Linux only: it reads /proc.
"""

import argparse
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MARK: Final = "VITRINE_STACK"
"""The environment variable that every process of a stack inherits."""

_LEADER_GRACE_SECONDS: Final = 1.0
_STACK_GRACE_SECONDS: Final = 1.5
"""Together well below the five seconds in which nothing may be left."""


def start(mark: str, watched: Sequence[int], scratch: Path | None) -> None:
    """Starts a reaper for the stack called `mark`, led by the first of the `watched` processes.

    `scratch` is removed in the end.
    """
    command = [sys.executable, "-m", "shared.embedded.reaper", mark, *map(str, watched)]
    if scratch:
        command += ["--scratch", str(scratch)]
    # A session of its own: Ctrl-C and the terminal's end are not meant for it.
    subprocess.Popen(command, start_new_session=True)  # noqa: S603 - our own command line


def _wait_for_any_end(pids: Sequence[int]) -> None:
    poll = select.poll()
    for pid in pids:
        try:
            poll.register(os.pidfd_open(pid), select.POLLIN)
        except ProcessLookupError:
            return
    poll.poll()


def _marked(mark: str) -> list[int]:
    needle = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def reap(mark: str, watched: Sequence[int]) -> None:
    """Waits for the end of one of the watched processes, then ends the leader and its stack."""
    _wait_for_any_end(watched)
    leader = watched[0]
    deadline = time.monotonic() + _LEADER_GRACE_SECONDS
    _signal([leader], signal.SIGTERM)
    while _is_alive(leader) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal([leader], signal.SIGKILL)
    _signal(_marked(mark), signal.SIGTERM)
    deadline = time.monotonic() + _STACK_GRACE_SECONDS
    while (left := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(left, signal.SIGKILL)


def main() -> None:
    """Reads the command line that `start` wrote."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mark")
    parser.add_argument("watched", type=int, nargs="+")
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    reap(options.mark, options.watched)
    if options.scratch:
        shutil.rmtree(options.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
