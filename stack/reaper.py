"""Ends a stack whose leader is gone, however it went: `python -m stack.reaper`.

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

IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - names in it can't be guessed

_LEADER_GRACE_SECONDS: Final = 1.0
_STACK_GRACE_SECONDS: Final = 1.5
_KILLING_SECONDS: Final = 1.0
"""Together well below the five seconds in which nothing may be left."""


def start(
    mark: str, watched: Sequence[int], scratch: Path | None, lock: int
) -> subprocess.Popen[bytes]:
    """Starts a reaper for the stack called `mark`, led by the first of the `watched` processes.

    `scratch` is removed in the end. A leader that has stopped its stack itself may end the reaper.
    `lock`: descriptor of a lock that is to be held until the last of the stack's processes is gone.
    """
    command = [sys.executable, "-m", "stack.reaper", mark, *map(str, watched)]
    if scratch:
        command += ["--scratch", str(scratch)]
    # A session of its own: Ctrl-C and the terminal's end are not meant for it.
    return subprocess.Popen(  # noqa: S603 - our own command line
        command, start_new_session=True, pass_fds=[lock]
    )


def end_stack(mark: str) -> Sequence[int]:
    """Ends all processes of the stack called `mark`: asks them first, all at once, then kills.

    Returns within about two seconds: the ids of those that still live, as in a disk's wait.
    """
    # Some write their title over their environment, the mark included; the session that they share
    # with their marked companions still tells whose they are.
    sessions: set[int] = set()
    deadline = time.monotonic() + _STACK_GRACE_SECONDS
    _signal(_members(mark, sessions), signal.SIGTERM)
    while (left := _members(mark, sessions)) and time.monotonic() < deadline:
        time.sleep(0.05)
    # Again and again: the supervisor may be starting a process in this very moment.
    deadline = time.monotonic() + _KILLING_SECONDS
    while left and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        time.sleep(0.02)
        left = _members(mark, sessions)
    socket_path(mark).unlink(missing_ok=True)
    shutil.rmtree(metrics_dir(mark), ignore_errors=True)
    return left


def socket_path(mark: str) -> Path:
    """Where the supervisor of the stack called `mark` listens."""
    # Not in the data directory: a socket's path may have 107 bytes.
    return Path("/tmp") / f"vitrine-{mark}.sock"  # noqa: S108 - the name can't be guessed


def metrics_dir(mark: str) -> Path:
    """Where the processes of the stack called `mark` share their metrics."""
    return IN_MEMORY / f"vitrine-{mark}"


def _members(mark: str, sessions: set[int]) -> list[int]:
    """The stack's living processes: they carry the mark or belong to one of the sessions.

    Sessions of marked processes are added to `sessions`.
    """
    needle = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
                # pid (name) state ppid group session…; the name may hold anything.
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] in (b"Z", b"X"):
                    continue  # dead, its parent only has not asked yet
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    sessions.add(int(fields[3]))
                if int(fields[3]) in sessions:
                    found.append(int(entry.name))
    return found


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def reap(mark: str, watched: Sequence[int]) -> None:
    """Waits for the end of one of the watched processes, then ends the leader and its stack."""
    # Handles, because a number may soon belong to another process. None: gone already.
    handles = [_handle(pid) for pid in watched]
    _wait_for_any_end(handles, None)
    leader = handles[0]
    if leader is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(leader, signal.SIGTERM)
            _wait_for_any_end([leader], _LEADER_GRACE_SECONDS)
            signal.pidfd_send_signal(leader, signal.SIGKILL)
    end_stack(mark)


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait_for_any_end(handles: Sequence[int | None], seconds: float | None) -> None:
    poll = select.poll()
    for handle in handles:
        if handle is None:
            return
        poll.register(handle, select.POLLIN)
    poll.poll(None if seconds is None else 1000 * seconds)


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
