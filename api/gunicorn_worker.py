"""gunicorn's threaded worker, patient in its event loop and not in its threads.

gunicorn's own worker lets a thread wait for a request's head and body, and for its answer to be
taken, without a deadline, and lets the loop wait for clients that don't close, so that a few slow
clients stop it.
"""

import errno
import select
import selectors
import socket
import time
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker
from pydantic_core import to_json

from api.access.slots import shares
from api.backlog import Backlog
from api.connections import CLOSING_SECONDS, HEAD_SECONDS, Connection, Stage
from api.request_threads import RequestThreads
from api.responses.problems import MEDIA_TYPE, problem_document
from shared.settings import get_settings

# What gunicorn refuses before the app sees it; the most telling class first.
_REFUSALS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (errors.LimitRequestLine, 414, "uri_too_long"),
    (errors.LimitRequestHeaders, 431, "headers_too_large"),
    (errors.ExpectationFailed, 417, "expectation_failed"),
    (errors.UnsupportedTransferCoding, 501, "not_implemented"),
    (errors.ParseException, 400, "malformed"),
)

_RECEIVED_AT_ONCE: Final = 64 * 2**10
_MAX_DRAINED: Final = 64 * 2**10

_LARGE_BODY_WAIT_SECONDS: Final = 30.0


class ProblemWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Answers in `application/problem+json` what is no HTTP request, or none that comes in time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._body_seconds = get_settings().api_body_seconds
        self._answer_seconds = get_settings().api_answer_seconds
        self._places = shares(self.cfg.threads).large_bodies
        """Threads that may work on requests with large bodies; others wait in the loop."""
        self._waiting: deque[Connection] = deque()
        """With large bodies, for which no place is free."""
        self._in_place: set[Connection] = set()
        self._closing: deque[Connection] = deque()
        self._backlog = Backlog()
        self._answering: dict[Connection, None] = {}
        """Whose answers are not taken yet, in the order in which threads handed them over."""

    # What follows runs in the loop, until `handle`.

    def set_accept_enabled(self, enabled: bool) -> None:
        """As in `ThreadWorker`, which would keep its sockets listening until it ends: whoever
        connects meanwhile waits for nothing and is cut off. Closed at once, they send a client or
        a balancer to the next process, and no request is lost in a rolling restart.
        """
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                while select.select([listener], [], [], 0)[0]:  # who has connected is served
                    self.accept(listener)
                listener.close()

    def get_thread_pool(self) -> RequestThreads:
        """Instead of an executor."""
        return RequestThreads(self.cfg.threads, self._serve)

    def enqueue_req(self, conn: Connection) -> None:
        """To the next thread that is free."""
        self.tpool.submit(conn)

    def accept(self, listener: socket.socket) -> None:
        """Takes a connection. Where they are too many, the one idle for longest makes room."""
        try:
            client, address = listener.accept()
        except OSError as err:
            if err.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
            elif err.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        self._keep(Connection(self.cfg, client, address, listener.getsockname(), self._backlog))
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def on_client_socket_readable(self, conn: Connection, _client: socket.socket) -> None:
        """The first bytes of a request."""
        data = _received(conn)
        if data is None:
            return
        self.poller.unregister(conn.sock)
        self.keepalived_conns.remove(conn)
        if data:
            conn.expect(data)
            self._proceed(conn)
        else:
            self._drop(conn)

    def on_pending_socket_readable(self, conn: Connection, _client: socket.socket) -> None:
        """More bytes of a request."""
        data = _received(conn)
        if data is None or (data and conn.advance(data) is Stage.PARTIAL):
            return
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        if data:
            self._proceed(conn)
        else:
            self._drop(conn)

    def finish_request(self, conn: Connection, keep: bool) -> None:
        """Back from a thread: the rest of the answer, the next request, or the end."""
        if conn in self._in_place:
            self._in_place.remove(conn)
            if self._waiting:
                self._take_place(self._waiting.popleft())
        conn.keep = keep
        try:
            conn.sock.end()
        except OSError:  # its thread closed it, for the answer broke off after its head was sent
            self._drop(conn)
            return
        if conn.sock.unsent:
            conn.timeout = conn.sock.write_until
            self._answering[conn] = None
            self.poller.register(
                conn.sock, selectors.EVENT_WRITE, partial(self._on_answering_writable, conn)
            )
        else:
            self._answered(conn)

    def _on_answering_writable(self, conn: Connection, _client: socket.socket) -> None:
        """More of an answer may be sent."""
        try:
            if not conn.sock.flush():
                return
        except OSError:  # the client has gone, or was cut off
            self._stop_answering(conn)
            return
        del self._answering[conn]
        self.poller.unregister(conn.sock)
        self._answered(conn)

    def _stop_answering(self, conn: Connection) -> None:
        del self._answering[conn]
        self.poller.unregister(conn.sock)
        conn.sock.abort()
        self._drop(conn)

    def _answered(self, conn: Connection) -> None:
        """With a connection that nobody watches, whose answer has been sent."""
        if not conn.keep:
            self._close_gently(conn)
        elif rest := conn.parser.unreader.take_buffered():
            conn.expect(rest)
            self._proceed(conn)
        else:
            self._keep(conn)

    def murder_pending(self) -> None:
        """Ends what has taken too long."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns.popleft()
            self.poller.unregister(conn.sock)
            self._refuse(conn, 408, "request_timeout", "the request did not come in time")
        while self._waiting and self._waiting[0].timeout <= now:
            detail = "too many large requests at once"
            self._refuse(self._waiting.popleft(), 503, "busy", detail)
        # All have as long, but for what their threads took: nearly in order of their deadlines.
        while (slow := next(iter(self._answering), None)) and slow.timeout <= now:
            self._stop_answering(slow)
        while self._closing and self._closing[0].timeout <= now:
            conn = self._closing.popleft()
            self.poller.unregister(conn.sock)
            self._drop(conn)

    def _keep(self, conn: Connection) -> None:
        """Idle until its next request."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self._watch(conn, self.on_client_socket_readable)

    def _proceed(self, conn: Connection) -> None:
        """With a connection that nobody watches, by how much of its request is there."""
        if conn.stage is Stage.COMPLETE:
            self.enqueue_req(conn)
        elif conn.stage is Stage.HEAD_TOO_LONG:
            self._refuse(conn, 431, "headers_too_large", "the request's head is too long")
        elif conn.stage is Stage.PARTIAL:
            conn.timeout = time.monotonic() + HEAD_SECONDS
            self.pending_conns.append(conn)
            self._watch(conn, self.on_pending_socket_readable)
        elif len(self._in_place) < self._places:
            self._take_place(conn)
        else:
            conn.timeout = time.monotonic() + _LARGE_BODY_WAIT_SECONDS
            self._waiting.append(conn)

    def _take_place(self, conn: Connection) -> None:
        self._in_place.add(conn)
        self.enqueue_req(conn)

    def _watch(self, conn: Connection, readable: Any) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(readable, conn))

    def _make_room(self) -> None:
        for idle in (self._closing, self.keepalived_conns, self.pending_conns):
            if idle:
                conn = idle.popleft()
                self.poller.unregister(conn.sock)
                self._drop(conn)
                return
        if self._answering:
            self._stop_answering(next(iter(self._answering)))

    def _refuse(self, conn: Connection, status: int, code: str, detail: str) -> None:
        try:
            conn.sock.send(_answer(status, code, detail))
        except OSError:
            self._drop(conn)
        else:
            self._close_gently(conn)

    def _close_gently(self, conn: Connection) -> None:
        """Closes once the client has, or after a while: see RFC 9112, section 9.6."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.timeout = time.monotonic() + CLOSING_SECONDS
        self._closing.append(conn)
        self._watch(conn, self._on_closing_readable)

    def _on_closing_readable(self, conn: Connection, _client: socket.socket) -> None:
        data = _received(conn)
        if data is None:
            return
        conn.drained += len(data)
        if not data or conn.drained > _MAX_DRAINED:
            self.poller.unregister(conn.sock)
            self._closing.remove(conn)
            self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    # What follows runs in threads.

    def _serve(self, conn: Connection) -> None:
        keep = False
        try:
            keep = bool(self.handle(conn))
        except BaseException:  # what ended the thread would be missed by all later requests
            self.log.exception("Error handling request")
        finally:
            self.method_queue.defer(self.finish_request, conn, keep)

    def handle(self, conn: Connection) -> Any:
        """Serves the request that was received. True where another may follow."""
        conn.sock.begin(
            self._body_seconds, self._answer_seconds, complete=conn.stage is Stage.COMPLETE
        )
        conn.init()
        conn.parser.unreader.unread(conn.take())
        return super().handle(conn)

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: Exception) -> None:
        """As in `gunicorn.workers.base.Worker`, but without HTML and the client's own words."""
        status, code = _refusal(exc)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("Error handling request")
        else:
            self.log.warning("Invalid request: %s", exc)
        try:
            util.write_nonblock(client, _answer(status, code))
        except OSError:
            self.log.debug("Failed to send error message.")


def _received(conn: Connection) -> bytes | None:
    """What has arrived; nothing where the client has gone, None where it was a false alarm."""
    try:
        return conn.sock.recv(_RECEIVED_AT_ONCE)  # type: ignore[no-any-return]
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _refusal(exc: Exception) -> tuple[int, str]:
    for error, status, code in _REFUSALS:
        if isinstance(exc, error):
            return status, code
    return 500, "internal_error"


def _answer(status: int, code: str, detail: str = "this is no request that can be served") -> bytes:
    document = problem_document(status, code, detail)
    body = to_json(document)
    wait = "Retry-After: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status} {document['title']}\r\n"
        "Connection: close\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\n"
        f"{wait}"
        "X-Content-Type-Options: nosniff\r\n"
        "X-Frame-Options: DENY\r\n"
        "Referrer-Policy: no-referrer\r\n"
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
        "Cache-Control: no-store\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
