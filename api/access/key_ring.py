"""The keys that a running API knows, read anew when their file changes."""

import hmac
import stat
import threading
from pathlib import Path

import structlog

from api.access.key_file import Key, KeysFileError, digest_of, parse_keys, read_text

_Stamp = tuple[int, int, int, int]


class KeyRing:
    """The keys of one file. A change of it counts from the next request on."""

    def __init__(self, path: Path) -> None:
        """Raises `KeysFileError`: a service that knows no keys must not start."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._keys = parse_keys(read_text(path), path)

    def tenant(self, presented: str) -> str | None:
        """The tenant of a key; None for one that isn't in the file."""
        key = self.key(presented)
        return key.tenant if key else None

    def key(self, presented: str) -> Key | None:
        """The file's entry for a key; None for one that isn't in it."""
        self._refresh()
        digest = digest_of(presented)
        found = None
        # Every digest is compared, so that the time does not tell the place of a match.
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def exposure(self) -> str | None:
        """The fault of the file's rights, if others may read it or add to it; None if not."""
        try:
            mode = self._path.stat().st_mode
        except OSError:  # `_refresh` reports it
            return None
        if mode & (stat.S_IROTH | stat.S_IWGRP):
            return (
                f"API_KEYS_FILE {self._path} has mode {stat.S_IMODE(mode):04o}: others than its "
                f"owner may read the digests or add keys; chmod 600 {self._path}"
            )
        return None

    def _refresh(self) -> None:
        # A stat takes a few microseconds, a request hundreds.
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        with self._lock:
            if stamp == self._stamp:
                return
            log = structlog.get_logger("api.access.keys")
            try:  # the stamp last, so that others wait for the keys
                self._keys = parse_keys(read_text(self._path), self._path)
            except KeysFileError as err:
                # A slip of an editor must not lock every shop out: the last good keys stay.
                log.error("keys_file_unusable", error=str(err))  # noqa: TRY400 - no bug of ours
            else:
                log.info("keys_read", keys=len(self._keys))
            finally:
                self._stamp = stamp


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
