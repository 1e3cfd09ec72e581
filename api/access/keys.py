"""The file of API keys: which tenant each key stands for. It keeps SHA-256 digests alone.

`python3 -m api.access.keys add --file deploy/api-keys` makes a key; `list` and `revoke` are its
fellows. This module imports the standard library alone, so that any Python from 3.9 on runs it:
Docker Compose needs no Python environment on the host.

A line is `tenant:digest` and words of the form `name=value`, as in

    default:9f86d0…0f00a08 name=web-shop created=2026-11-27

Blank lines and what follows a `#` mean nothing. A later version may add words, a key's rights say.
A word that a version doesn't know is a fault and never passed over: it may take rights away.

A plain digest is enough where the secret has 256 bits of chance: there is no dictionary to try.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

DEFAULT_TENANT = "default"

_TENANT = re.compile(r"[a-z0-9-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,79}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OWNER = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")
_WORDS = {"name": _NAME, "created": _DATE}
_NAME_RULE = "1 to 80 letters, digits and ._@-, the first of them a letter or a digit"

_NAMELESS = "sha256:"
"""Begins the name by which a line without one is listed and revoked; a name has no colon."""

_NAMELESS_DIGITS = 16


class KeysFileError(Exception):
    """The keys file can't be used, or what is asked of it can't be done. The message says why."""


class Key(NamedTuple):
    """One line of the file. Lines that earlier versions wrote have neither name nor date."""

    tenant: str
    digest: str
    """SHA-256 of the key, 64 hexadecimal digits."""

    name: str = ""
    created: str = ""
    """The day, as 2026-11-27, in UTC."""

    @property
    def called(self) -> str:
        """By what it is listed and revoked."""
        return self.name or f"{_NAMELESS}{self.digest[:_NAMELESS_DIGITS]}"


def digest_of(key: str) -> str:
    """What the file keeps of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def parse_keys(text: str, source: object) -> Sequence[Key]:
    """The keys in a file's text. Raises `KeysFileError`, which names the line."""
    keys: list[Key] = []
    for number, line in enumerate(text.split("\n"), 1):
        where = f"API_KEYS_FILE {source}, line {number}"
        try:
            key = _parsed(line)
        except ValueError as err:
            raise KeysFileError(f"{where}: {err}") from None
        if key is None:
            continue
        if key.name and any(key.name == other.name for other in keys):
            raise KeysFileError(f"{where}: a key called {key.name} stands above already")
        keys.append(key)
    return keys


def _parsed(line: str) -> Key | None:
    entry, *words = line.split("#", 1)[0].split() or [""]
    if not entry:
        return None
    tenant, _, digest = entry.partition(":")
    if not _TENANT.fullmatch(tenant) or not _DIGEST.fullmatch(digest):
        raise ValueError(
            "expected tenant:sha256 (a-z, 0-9 and - for the tenant, 64 hexadecimal digits)"
        )
    values: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        pattern = _WORDS.get(name)
        if pattern is None or name in values or not pattern.fullmatch(value):
            raise ValueError(
                "after tenant:sha256 this version knows name=… and created=YYYY-MM-DD, each once"
            )
        values[name] = value
    return Key(tenant, digest, **values)


def read_text(path: Path) -> str:
    """The file's text. Raises `KeysFileError`, also where anybody may write to it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            folder = path.parent.stat().st_mode
            text = file.read().decode("utf-8")
    except OSError as err:
        hint = "; `make api-key` makes one" if isinstance(err, FileNotFoundError) else ""
        raise KeysFileError(f"API_KEYS_FILE {path}: {err.strerror}{hint}") from err
    except UnicodeDecodeError as err:
        raise KeysFileError(f"API_KEYS_FILE {path}: {err}") from err
    if mode & stat.S_IWOTH:
        raise KeysFileError(
            f"API_KEYS_FILE {path}: every account of this machine may write to it and so make "
            f"keys of its own; chmod 600 {path}"
        )
    if folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
        raise KeysFileError(
            f"API_KEYS_FILE {path}: every account of this machine may put another file in its "
            f"place; chmod o-w {path.parent}"
        )
    return text


def add_key(
    path: Path,
    tenant: str,
    *,
    name: str = "",
    owner: tuple[int, int] | None = None,
) -> str:
    """Makes a key for the tenant, adds its line to the file, and returns it.

    `name`: unique in the file; by default the tenant's, with a number where that is taken. The file
    is made with mode 0600, its folder with 0700. `owner`: the user and group to give the file to,
    which takes root's rights; a link is then not followed, or whoever may write to the folder could
    have any file read. Raises `KeysFileError`, and `OSError` where the file can't be written.
    """
    if not _TENANT.fullmatch(tenant):
        raise KeysFileError(f"tenant {tenant!r}: 1 to 64 of a-z, 0-9 and -")
    if name and not _NAME.fullmatch(name):
        raise KeysFileError(f"name {name!r}: {_NAME_RULE}")
    key = secrets.token_urlsafe(32)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _changing(path, owner) as file:
        names = {held.name for held in parse_keys(file.text, path)}
        if name and name in names:
            raise KeysFileError(f"there is a key called {name}; take another name, or revoke it")
        name = name or _free_name(tenant, names)
        if file.text and not file.text.endswith("\n"):
            file.text += "\n"
        today = time.strftime("%Y-%m-%d", time.gmtime())
        file.text += f"{tenant}:{digest_of(key)} name={name} created={today}\n"
    return key


def _free_name(tenant: str, names: set[str]) -> str:
    # A tenant may begin with a hyphen, a name may not.
    base = tenant.lstrip("-") or "key"
    name, number = base, 1
    while name in names:
        number += 1
        name = f"{base}-{number}"
    return name


def revoke_key(path: Path, called: str) -> Key:
    """Takes the key's line out of the file, and every other line of the same key.

    `called`: its name or, of a line without one, what `Key.called` says. Raises `KeysFileError`
    where there is none, and `OSError`.
    """
    with _changing(path, None) as file:
        found = [key for key in parse_keys(file.text, path) if key.called == called]
        if not found:
            raise KeysFileError(f"{path} has no key called {called!r}; `make api-keys` lists them")
        digest = found[0].digest
        lines = file.text.split("\n")
        file.text = "\n".join(line for line in lines if not _is_of(line, digest))
    return found[0]


def _is_of(line: str, digest: str) -> bool:
    key = _parsed(line)
    return key is not None and key.digest == digest


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text


@contextlib.contextmanager
def _changing(path: Path, owner: tuple[int, int] | None) -> Iterator[_Text]:
    """The file's text to change; it takes the old one's place as a whole.

    One such command after the other: the folder is locked meanwhile. Nothing changes where the
    block raises.
    """
    if owner is None:
        path = path.resolve()
    elif path.is_symlink():
        raise KeysFileError(f"{path} is a symbolic link; root follows none")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        held, mode = None, 0o600
        if path.exists():
            text = read_text(path)
            held = path.stat()
            if os.geteuid() not in (0, held.st_uid):
                raise KeysFileError(f"{path} is another account's; run this as that one, or root")
            # Others than the owner and the group have no business in it.
            mode = held.st_mode & 0o640 | 0o600
        else:
            text = ""
        changed = _Text(text)
        yield changed
        given = owner or ((held.st_uid, held.st_gid) if held else None)
        _replace(path, changed.text, mode, given)
    finally:
        os.close(folder)


def _replace(path: Path, text: str, mode: int, owner: tuple[int, int] | None) -> None:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(unfinished, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if owner:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(unfinished, path)  # noqa: PTH105 - pathlib is imported for its types alone
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()
        raise


def _owner(given: str) -> tuple[int, int]:
    ids = _OWNER.fullmatch(given)
    if ids is None:
        raise argparse.ArgumentTypeError("must be a user's and a group's number, as 10001:10001")
    return int(ids[1]), int(ids[2])


def _add(options: argparse.Namespace) -> None:
    owner = options.owner if os.geteuid() == 0 else None
    key = add_key(options.file, options.tenant, name=options.name, owner=owner)
    print(key)  # noqa: T201 - alone on stdout, for scripts
    _tell(
        f"This is the key of tenant {options.tenant}. It is shown this once: keep it now. Its "
        f"hash was added to {options.file}; a running API knows it from now on. An API asks for "
        f"keys where API_KEYS_FILE={options.file} is set."
    )


def _list(options: argparse.Namespace) -> None:
    keys = parse_keys(read_text(options.file), options.file)
    rows = [("NAME", "TENANT", "CREATED")]
    rows += [(key.called, key.tenant, key.created or "-") for key in keys]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, tenant, created in rows:
        print(f"{name:{widths[0]}}  {tenant:{widths[1]}}  {created}")  # noqa: T201


def _revoke(options: argparse.Namespace) -> None:
    if not options.name:
        raise KeysFileError("name the key: make revoke-api-key NAME=…; `make api-keys` lists them")
    key = revoke_key(options.file, options.name)
    _tell(
        f"{key.called} of tenant {key.tenant} is revoked: a running API refuses it from the next "
        "request on."
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line. A fault ends the process with 1 and a line on stderr."""
    from pathlib import Path  # noqa: PLC0415 - the module's other users pass paths of their own

    parser = argparse.ArgumentParser(
        prog="python3 -m api.access.keys", description="The API's keys."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, run, told in (
        ("add", _add, "make a key, print it once, and keep its digest alone"),
        ("list", _list, "show each key's name, tenant and date"),
        ("revoke", _revoke, "take a key out of the file"),
    ):
        of_command = commands.add_parser(command, help=told, description=told)
        of_command.set_defaults(run=run)
        of_command.add_argument("--file", required=True, type=Path)
        if command != "list":
            of_command.add_argument("--name", default="", help=_NAME_RULE)
        if command == "add":
            of_command.add_argument("--tenant", default=DEFAULT_TENANT)
            of_command.add_argument(
                "--owner",
                type=_owner,
                metavar="UID:GID",
                help="whom root gives the file to: those that the service runs as",
            )
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (KeysFileError, OSError) as err:
        sys.exit(f"vitrine: {err}")


if __name__ == "__main__":
    main()
