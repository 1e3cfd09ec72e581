"""Making, listing and revoking API keys: `python3 -m api.access.keys add --file deploy/api-keys`.

This module and `key_file.py` import the standard library alone, so that any Python from 3.9 on runs
them: Docker Compose needs no Python environment on the host.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import secrets
import sys
import time
from typing import TYPE_CHECKING

from api.access.key_file import (
    DEFAULT_TENANT,
    NAME_RULE,
    Key,
    KeysFileError,
    digest_of,
    is_name,
    is_tenant,
    parse_keys,
    parse_line,
    read_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_OWNER = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")


def add_key(
    path: Path,
    tenant: str,
    *,
    name: str = "",
    owner: tuple[int, int] | None = None,
) -> str:
    """Makes a key for the tenant, adds its line to the file, and returns it.

    `name`: unique in the file; by default the tenant's, with a number if that is taken. The file is
    made with mode 0600, its folder with 0700. `owner`: the user and group to give the file to,
    which takes root's rights. No link is followed then, because an account that may write to the
    folder could have any file read. Raises `KeysFileError` and `OSError`.
    """
    if not is_tenant(tenant):
        raise KeysFileError(f"tenant {tenant!r}: 1 to 64 of a-z, 0-9 and -")
    if name and not is_name(name):
        raise KeysFileError(f"name {name!r}: {NAME_RULE}")
    key = secrets.token_urlsafe(32)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _changing(path, owner) as file:
        names = {entry.name for entry in parse_keys(file.text, path)}
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

    `called`: its name or, of a line without one, what `Key.called` says. Raises `KeysFileError` if
    there is none, and `OSError`.
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
    key = parse_line(line)
    return key is not None and key.digest == digest


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text


@contextlib.contextmanager
def _changing(path: Path, owner: tuple[int, int] | None) -> Iterator[_Text]:
    """The file's text, to be changed by the block. The new text takes the old one's place at once.

    The folder is locked, so that one command runs after the other. If the block raises, nothing
    changes.
    """
    if owner is None:
        path = path.resolve()
    elif path.is_symlink():
        raise KeysFileError(f"{path} is a symbolic link; root follows none")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        former, mode = None, 0o600
        if path.exists():
            text = read_text(path)
            former = path.stat()
            if os.geteuid() not in (0, former.st_uid):
                raise KeysFileError(f"{path} is another account's; run this as that one, or root")
            # Others than the owner and the group have no business in it.
            mode = former.st_mode & 0o640 | 0o600
        else:
            text = ""
        changed = _Text(text)
        yield changed
        given = owner or ((former.st_uid, former.st_gid) if former else None)
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
    digest = digest_of(key)
    keys = parse_keys(read_text(options.file), options.file)
    name = next(added.called for added in keys if added.digest == digest)
    _say(
        f"This is the key {name} of tenant {options.tenant}. It is shown this once: keep it "
        f"now. Its hash was added to {options.file}; a running API knows it from now on. "
        f"An API asks for keys if API_KEYS_FILE={options.file} is set."
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
    _say(
        f"{key.called} of tenant {key.tenant} is revoked: a running API refuses it from the next "
        "request on."
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line. A fault ends the process with 1 and a line on stderr."""
    from pathlib import Path  # noqa: PLC0415 - the module's other users pass paths of their own

    parser = argparse.ArgumentParser(
        prog="python3 -m api.access.keys", description="The API's keys."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, run, description in (
        ("add", _add, "make a key, print it once, and keep its digest alone"),
        ("list", _list, "show each key's name, tenant and date"),
        ("revoke", _revoke, "take a key out of the file"),
    ):
        of_command = commands.add_parser(command, help=description, description=description)
        of_command.set_defaults(run=run)
        of_command.add_argument("--file", required=True, type=Path)
        if command != "list":
            of_command.add_argument("--name", default="", help=NAME_RULE)
        if command == "add":
            of_command.add_argument("--tenant", default=DEFAULT_TENANT)
            of_command.add_argument(
                "--owner",
                type=_owner,
                metavar="UID:GID",
                help="the user and group that the service runs as; root gives them the file",
            )
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (KeysFileError, OSError) as err:
        sys.exit(f"vitrine: {err}")


if __name__ == "__main__":
    main()
