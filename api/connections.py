"""Connections that may be slow: what is read of a request before a thread takes it, and what is
kept of an answer after.

A thread is worth a request that is there. So the loop collects the head and a small body, and hands
them over complete; only bodies that are large or of unknown length are read by a thread, which has
a deadline. No thread waits for an answer to be taken: what the client doesn't take at once is left
to the loop.

How a request is to be understood is the parser's business alone: what is looked at here decides
when it is called, not what it finds.
"""

import contextlib
import math
import re
import socket
import struct
import time
from collections import deque
from enum import Enum, auto
from typing import Any, Final

from gunicorn.workers.gthread import TConn

from api.backlog import Backlog

HEAD_SECONDS: Final = 10.0
"""From the first byte of a request to its last, where the loop collects it: generous for what
fits into a few dozen packets."""

CLOSING_SECONDS: Final = 2.0
"""How long a refused client may go on sending before its connection is cut; cut at once, it might
lose the answer."""

MAX_HEAD_BYTES: Final = 64 * 2**10
MAX_COLLECTED_BODY: Final = 64 * 2**10
"""A product or a search in words. 1,000 connections then hold 128 MB at most."""

SEND_BUFFER_BYTES: Final = 256 * 2**10
"""Of the system, for what was sent and not yet taken: a hundred search results of usual size go
at once, whatever the network. The system would go up to 4 MB each."""

_SENT_AT_ONCE: Final = 2**20
"""By the loop to one client, before others have their turn."""

_LINGER_NOT: Final = struct.pack("ii", 1, 0)

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
    """A client's socket. Reads end at a deadline (monotonic seconds), writes never wait."""

    read_until = math.inf
    write_until = math.inf
    """When the answer must have been taken; infinite before its first byte."""
    complete = False
    """All of the request has been received, so that nothing more is waited for."""

    def __init__(self, client: socket.socket, backlog: Backlog) -> None:
        """Takes the place of `client`."""
        super().__init__(client.family, client.type, client.proto, fileno=client.detach())
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.answer_seconds = math.inf
        self._backlog = backlog
        self._unsent: deque[memoryview] = deque()

    @property
    def unsent(self) -> bool:
        """Whether some of the answer is still to be taken."""
        return bool(self._unsent)

    def begin(self, body_seconds: float, answer_seconds: float, *, complete: bool) -> None:
        """Starts the deadlines of one request that a thread has taken."""
        self.complete = complete
        self.read_until = time.monotonic() + body_seconds
        self.write_until = math.inf
        self.answer_seconds = answer_seconds
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

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002 - the socket's signature
        """Sends what the client takes at once and keeps the rest, for `flush`.

        OSError where the client has gone, or was cut off.
        """
        if self.write_until == math.inf:
            self.write_until = time.monotonic() + self.answer_seconds
        self._unsent.append(memoryview(data))
        self.flush()

    def flush(self) -> bool:
        """Sends what the client takes at once; whether that was all. Raises likewise."""
        own = self.gettimeout()
        self.setblocking(False)
        sent = 0
        try:
            while self._unsent and sent < _SENT_AT_ONCE:
                first = self._unsent[0]
                taken = self.send(first)
                sent += taken
                if taken < len(first):
                    self._unsent[0] = first[taken:]
                else:
                    self._unsent.popleft()
        except BlockingIOError:
            pass
        finally:
            self.settimeout(own)
        if not self._unsent:
            self._backlog.forget(self)
            return True
        # The last part of what was written keeps all of it in memory.
        held = sum(memoryview(part.obj).nbytes for part in self._unsent)
        self._backlog.hold(self, held, progressed=sent > 0)
        return False

    def abort(self) -> None:
        """Has `close` reset the connection, so that the system, too, keeps nothing of the answer,
        and the client can't take what it has for the whole.
        """
        with contextlib.suppress(OSError):
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)

    def close(self) -> None:
        """As usual; what was not taken is given up."""
        self._unsent.clear()
        self._backlog.forget(self)
        super().close()


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection with what has been received of its next request."""

    def __init__(
        self, cfg: Any, client: socket.socket, address: Any, server: Any, backlog: Backlog
    ) -> None:
        super().__init__(cfg, BoundedSocket(client, backlog), address, server)
        self.received = bytearray()
        self.stage = Stage.PARTIAL
        self.drained = 0
        self.keep = False
        """Whether it stays open once its answer has been taken."""
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
