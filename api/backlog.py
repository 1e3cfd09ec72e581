"""What clients have not taken of their answers yet, bounded over all connections together."""

import contextlib
import socket
import threading
from typing import Final

MAX_UNTAKEN_BYTES: Final = 64 * 2**20
"""Hundreds of usual pages of products, which fit into the sockets' own buffers anyway."""


class Backlog:
    """Bytes that are kept in memory for clients that take their answers slowly.

    Where they become too many, the client that has taken nothing for longest is cut off: one that
    is slow, but goes on reading, outlasts any number of those that don't. The last one is left
    alone, however large its answer: it was in memory already. Safe to use from many threads.
    """

    def __init__(self, max_bytes: int = MAX_UNTAKEN_BYTES) -> None:
        self._max_bytes = max_bytes
        self._total = 0
        self._held: dict[socket.socket, int] = {}
        """In order of when the client last took something, or its answer began."""
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """Bytes held for all clients."""
        return self._total

    def hold(self, client: socket.socket, size: int, *, progressed: bool) -> None:
        """Notes how much is held for a client now, and whether it has just taken something.

        Cuts others off where that is too much together.
        """
        with self._lock:
            before = self._held.pop(client, None) if progressed else self._held.get(client)
            self._held[client] = size
            self._total += size - (before or 0)
            while self._total > self._max_bytes and len(self._held) > 1:
                slowest = next(iter(self._held))
                self._total -= self._held.pop(slowest)
                # Only shut down: whoever serves it finds that out, and closes it.
                with contextlib.suppress(OSError):
                    slowest.shutdown(socket.SHUT_RDWR)

    def forget(self, client: socket.socket) -> None:
        """Nothing is held for it any more. Called before its socket is closed."""
        with self._lock:
            self._total -= self._held.pop(client, 0)
