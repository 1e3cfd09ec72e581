"""Room on the disk that nobody else can take: a file of zeros, given up if a start needs it.

Qdrant's engine writes through mappings. If the disk has no room for a page of one, the kernel
kills the process (SIGBUS), also while it only opens what it holds, and no search would be answered
any more. So writes end while there still is room, and a start on a full disk has the reserve.
"""

import os
import shutil
from pathlib import Path
from typing import Final

_BYTES: Final = 16 * 2**20
"""Opening a collection has taken less than 2 MB."""

_LEAST_FREE: Final = 64 * 2**20
_PER_BODY: Final = 4
"""A body goes into the log, the storage and the indexes."""


class Reserve:
    """The reserve in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / "reserve"

    def give_up_if_needed(self) -> None:
        """Makes room for a start. Does nothing if there is enough, or if there is no reserve."""
        if self._directory.exists() and self._free() < _BYTES:
            self._file.unlink(missing_ok=True)

    def has_room(self, body_bytes: int) -> bool:
        """Whether a write of so many bytes leaves enough; if so, makes a reserve."""
        if self._free() < _LEAST_FREE + _PER_BODY * body_bytes:
            return False
        if not self._file.exists():
            with self._file.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _BYTES)
        return True

    def has_room_to_flush(self) -> bool:
        """Whether the storage has room for the log's content."""
        return self._free() >= _BYTES

    def _free(self) -> int:
        return shutil.disk_usage(self._directory).free
