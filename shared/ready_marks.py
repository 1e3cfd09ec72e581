"""The sign of a worker that it takes up work: a file with its process id.

It lies in the directory that the processes of one machine share, PROMETHEUS_MULTIPROC_DIR. Without
such a directory nobody waits for it.
"""

import os
from pathlib import Path


def mark_ready(folder: Path, process: str) -> None:
    """Says that this process, called `process`, is ready. Raises `OSError`."""
    _mark(folder, process).write_text(str(os.getpid()))


def is_marked(folder: Path, process: str, pid: int | None) -> bool:
    """Whether the process of this name and id has said so; an earlier one of the name may have."""
    try:
        return _mark(folder, process).read_text() == str(pid)
    except FileNotFoundError:
        return False


def _mark(folder: Path, process: str) -> Path:
    return folder / f"{process}.ready"
