"""Connections that may be slow: what the event loop reads of a request before a thread takes it.

A thread is worth a request that is there. So the loop collects the head and a small body, and hands
them over complete; only bodies that are large or of unknown length are read by a thread, which has
a deadline. How a request is to be understood is the parser's business alone: what is looked at here
decides when it is called, not what it finds.
"""

import errno
import math
import re
import socket
import time
from enum import Enum, auto
from typing import Any, Final

from gunicorn.workers.gthread import TConn

HEAD_SECONDS: Final = 10.0
"""From the first byte of a request to its last, where the loop collects it: generous for what
fits into a few dozen packets."""

ANSWER_SECONDS: Final = 30.0
"""From an answer's first byte to its last."""

CLOSING_SECONDS: Final = 2.0
"""How long a refused client may go on sending before its connection is cut; cut at once, it might
lose the answer."""

MAX_HEAD_BYTES: Final = 64 * 2**10
MAX_COLLECTED_BODY: Final = 64 * 2**10
"""A product or a search in words. 1,000 connections then hold 128 MB at most."""

_HEAD_END: Final = b"\r\n\r\n"
_OPEN_END: Final = re.compile(rb"\r\n(?:transfer-encoding|expect)[ \t]*:", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]+)", re.IGNORECASE)
_LENGTH_DIGITS: Final = 9


class Stage(Enum):
    """How much of a request is there."""

    PARTIAL = auto()
    COMPLETE = auto()
    LARGE_BODY = auto()
    """The head is complete, and the body better read by a thread."""
    HEAD_TOO_LONG = auto()


class BoundedSocket(socket.socket):
    """A client's socket, whose blocking reads and writes end at deadlines (monotonic seconds)."""

    read_until = math.inf
    write_until = math.inf
    complete = False
    """All of the request has been received, so that nothing more is waited for."""

    def begin(self, body_seconds: float, *, complete: bool) -> None:
        """Starts the deadlines of one request that a thread has taken."""
        self.complete = complete
        self.read_until = time.monotonic() + body_seconds
        self.write_until = math.inf
        self.setblocking(True)

    def end(self) -> None:
        """Back to the loop, which never blocks."""
        self.complete = False
        self.read_until = math.inf
        self.setblocking(False)

    def hurry(self, deadline: float) -> None:
        """Reads end at `deadline` at the latest."""
        self.read_until = min(self.read_until, deadline)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As usual; TimeoutError at the deadline, nothing where the request is complete."""
        if self.complete:
            return b""
        if self.read_until != math.inf:
            left = self.read_until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the request took too long as a whole")
            # Whoever set a timeout of their own wants no more than that.
            own = self.gettimeout()
            self.settimeout(left if own is None else min(own, left))
        return super().recv(size, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As usual; a client that takes its answer too slowly counts as gone."""
        if self.gettimeout() != 0:
            now = time.monotonic()
            self.write_until = min(self.write_until, now + ANSWER_SECONDS)
            self.settimeout(max(self.write_until - now, 0.001))
        try:
            super().sendall(data, flags)
        except TimeoutError as err:
            raise BrokenPipeError(errno.EPIPE, "the answer was taken too slowly") from err


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection with what has been received of its next request."""

    def __init__(self, cfg: Any, client: socket.socket, address: Any, server: Any) -> None:
        bounded = BoundedSocket(client.family, client.type, client.proto, fileno=client.detach())
        super().__init__(cfg, bounded, address, server)
        self.received = bytearray()
        self.stage = Stage.PARTIAL
        self.drained = 0
        self._needed: int | None = None

    def expect(self, received: bytes) -> None:
        """A new request, of which this much has come together with the one before."""
        self.received = bytearray(received)
        self._needed = None
        self.advance(b"")

    def advance(self, data: bytes) -> Stage:
        """Adds what was received, and says how far the request is."""
        self.received += data
        self.stage = self._reached()
        return self.stage

    def take(self) -> bytes:
        """What was received, for the parser."""
        received, self.received = bytes(self.received), bytearray()
        return received

    def _reached(self) -> Stage:
        if self._needed is None:
            if self.received.startswith((b"\r", b"\n")):
                # Empty lines before a request mean nothing, and would look like its end.
                self.received = self.received.lstrip(b"\r\n")
            end = self.received.find(_HEAD_END)
            if end < 0:
                too_long = len(self.received) > MAX_HEAD_BYTES
                return Stage.HEAD_TOO_LONG if too_long else Stage.PARTIAL
            body = _body_length(self.received[: end + 2])
            if body is None:
                return Stage.LARGE_BODY
            self._needed = end + len(_HEAD_END) + body
        return Stage.COMPLETE if len(self.received) >= self._needed else Stage.PARTIAL


def _body_length(head: bytearray) -> int | None:
    """The length of a body that the loop should collect; None for others."""
    if _OPEN_END.search(head):
        return None
    lengths = _LENGTH.findall(head)
    if not lengths:
        return 0
    if len(lengths) > 1 or len(lengths[0]) > _LENGTH_DIGITS:
        return None
    length = int(lengths[0])
    return length if length <= MAX_COLLECTED_BODY else None
