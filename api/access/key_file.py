"""The file of API keys: which tenant each key stands for. It keeps SHA-256 digests alone.

A line is `tenant:digest` and words of the form `name=value`, as in

    default:9f86d0…0f00a08 name=web-shop created=2026-11-27

Blank lines and what follows a `#` mean nothing. A later version may add words, such as a key's
rights. A word that a version doesn't know is a fault and never passed over, because it may take
rights away.

A plain digest is enough, because the secret has 256 bits of chance: there is no dictionary to try.

This module imports the standard library alone (see `keys.py`).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEFAULT_TENANT = "default"

_TENANT = re.compile(r"[a-z0-9-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,79}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = {"name": _NAME, "created": _DATE}
NAME_RULE = "1 to 80 letters, digits and ._@-, the first of them a letter or a digit"

_NAMELESS = "sha256:"
"""The beginning of the name of a line without one. Given names have no colon."""

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
        """The name by which it is listed and revoked."""
        return self.name or f"{_NAMELESS}{self.digest[:_NAMELESS_DIGITS]}"


def is_tenant(text: str) -> bool:
    """Whether a tenant may be called so."""
    return _TENANT.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether a key may be called so (`NAME_RULE`)."""
    return _NAME.fullmatch(text) is not None


def digest_of(key: str) -> str:
    """The digest that the file keeps of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def parse_keys(text: str, source: object) -> Sequence[Key]:
    """The keys in a file's text. Raises `KeysFileError`, which names the line."""
    keys: list[Key] = []
    for number, line in enumerate(text.split("\n"), 1):
        place = f"API_KEYS_FILE {source}, line {number}"
        try:
            key = parse_line(line)
        except ValueError as err:
            raise KeysFileError(f"{place}: {err}") from None
        if key is None:
            continue
        if key.name and any(key.name == other.name for other in keys):
            raise KeysFileError(f"{place}: a key called {key.name} stands above already")
        keys.append(key)
    return keys


def parse_line(line: str) -> Key | None:
    """The key of a line; None if the line means nothing. Raises ValueError."""
    entry, *words = line.split("#", 1)[0].split() or [""]
    if not entry:
        return None
    tenant, _, digest = entry.partition(":")
    if not is_tenant(tenant) or not _DIGEST.fullmatch(digest):
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
    """The file's text. Raises `KeysFileError`, also if every account may write to the file."""
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
