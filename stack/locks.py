"""Locks of directories with data. The kernel drops a lock with its last holder, however it ends."""

import fcntl
import os
import time
from pathlib import Path


def lock(path: Path, wait_seconds: float) -> int:
    """Takes the lock in this file; returns the descriptor that holds it.

    Raises `BlockingIOError` if another process keeps it for longer than `wait_seconds`, and other
    `OSError`s if the file can't be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise
            time.sleep(0.1)
        else:
            return descriptor
