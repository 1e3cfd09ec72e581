"""API keys: which tenant a key stands for. Only SHA-256 digests of keys are kept.

`python -m api.keys add --tenant default --file deploy/api-keys` makes one. A plain digest is enough
where the secret has 256 bits of chance: there is no dictionary to try.
"""

import hashlib
import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import structlog

DEFAULT_TENANT: Final = "default"

_TENANT: Final = re.compile(r"[a-z0-9-]{1,64}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_OWNER: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")

_LOOK_SECONDS: Final = 1.0
"""How long a withdrawn key may still work; a stat per request would be cheap, but for nothing."""


class KeysFileError(Exception):
    """The keys file can't be read or holds a line that is no key. The message names the line."""


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file."""

    tenant: str
    digest: str
    """SHA-256 of the key, 64 hexadecimal digits."""


def parse_keys(text: str, source: str) -> Sequence[Key]:
    """The keys of a file of `tenant:sha256` lines; `#` starts a comment. Raises `KeysFileError`."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.split("#", 1)[0].strip()
        if not entry:
            continue
        tenant, _, digest = entry.partition(":")
        if not _TENANT.fullmatch(tenant) or not _DIGEST.fullmatch(digest):
            raise KeysFileError(
                f"API_KEYS_FILE {source}, line {number}: expected tenant:sha256 "
                "(a-z, 0-9 and - for the tenant, 64 hexadecimal digits)"
            )
        keys.append(Key(tenant, digest))
    return keys


class KeyRing:
    """The keys of one file, read anew when it changes."""

    def __init__(self, path: Path) -> None:
        """Raises `KeysFileError`: a service that knows no keys must not start."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._keys = _read(path)
        self._looked = time.monotonic()

    def tenant(self, presented: str) -> str | None:
        """The tenant of a key; None for one that isn't in the file."""
        key = self.key(presented)
        return key.tenant if key else None

    def key(self, presented: str) -> Key | None:
        """The file's entry for a key; None for one that isn't in it."""
        self._refresh()
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        # Every digest is compared, so that the time tells nothing of where a match stands.
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _refresh(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._keys = _read(self._path)
                self._stamp = stamp
                structlog.get_logger("api.keys").info("keys_read", keys=len(self._keys))
        except KeysFileError as err:
            # A slip of an editor must not lock every shop out: the last good keys stay.
            structlog.get_logger("api.keys").error("keys_file_unusable", error=str(err))
        finally:
            self._looked = time.monotonic()
            self._lock.release()


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as err:
        raise KeysFileError(f"API_KEYS_FILE {path}: {err.strerror}") from err
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> Sequence[Key]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise KeysFileError(f"API_KEYS_FILE {path}: {err}") from err
    return parse_keys(text, str(path))


def add_key(path: Path, tenant: str, *, owner: tuple[int, int] | None = None) -> str:
    """Makes a key for the tenant, appends its digest to the file, and returns it.

    The file is made with mode 0600, its folder with 0700. `owner`: the user and group to give the
    file to, which takes root's rights; a link is then not followed, or whoever may write to the
    folder could have any file given away. Raises `KeysFileError` for a tenant that is none.
    """
    if not _TENANT.fullmatch(tenant):
        raise KeysFileError(f"tenant {tenant!r}: 1 to 64 of a-z, 0-9 and -")
    key = secrets.token_urlsafe(32)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = f"{tenant}:{hashlib.sha256(key.encode()).hexdigest()}\n"
    if path.exists() and (held := path.read_bytes()) and not held.endswith(b"\n"):
        line = f"\n{line}"
    # One write of one line: two of these commands at once do not mix their lines.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_NOFOLLOW if owner else 0)
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(line)
        if owner:
            os.fchown(file.fileno(), *owner)
    return key


def _owner(
    _context: click.Context, _parameter: click.Parameter, given: str | None
) -> tuple[int, int] | None:
    if given is None:
        return None
    ids = _OWNER.fullmatch(given)
    if ids is None:
        raise click.BadParameter("must be a user's and a group's number, as 10001:10001")
    return int(ids[1]), int(ids[2])


@click.group()
def main() -> None:
    """Manages the API's keys."""


@main.command()
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True)
@click.option("--file", "path", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--owner",
    callback=_owner,
    metavar="UID:GID",
    help="Whom root gives the file to: those that the service runs as.",
)
def add(tenant: str, path: Path, owner: tuple[int, int] | None) -> None:
    """Makes a key, prints it once, and keeps only its digest."""
    try:
        key = add_key(path, tenant, owner=owner if os.geteuid() == 0 else None)
    except (KeysFileError, OSError) as err:
        raise click.ClickException(str(err)) from err
    click.echo(key)  # alone on stdout, for scripts
    click.echo(
        f"This is the key of tenant {tenant}. It is shown this once: keep it now. Its hash was "
        f"added to {path}; the API asks for keys once API_KEYS_FILE={path} is set.",
        err=True,
    )


if __name__ == "__main__":
    main()
