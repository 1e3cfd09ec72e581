"""Ports of this machine: one that is free, and whether the API's can be listened on."""

import errno
import socket
import time
from typing import Final

_PREDECESSOR_SECONDS: Final = 3.0
"""A killed predecessor's port is free only once the system has cleared its memory away."""


class CannotListen(Exception):
    """The message names the settings and says why."""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def check_listening(host: str, port: int) -> None:
    """Raises `CannotListen` if the API could not listen there."""
    deadline = time.monotonic() + _PREDECESSOR_SECONDS
    while True:
        try:
            return _listen_once(host, port)
        except OSError as err:
            if err.errno != errno.EADDRINUSE:
                raise CannotListen(
                    f"API_HOST={host}, API_PORT={port}: can't listen there ({err.strerror})"
                ) from err
            if time.monotonic() > deadline:
                raise CannotListen(
                    f"port {port} is in use on {host}; stop what listens there, or choose another "
                    "port with API_PORT"
                ) from err
        time.sleep(0.1)


def _listen_once(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # As gunicorn does: connections that a predecessor left half closed don't matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
