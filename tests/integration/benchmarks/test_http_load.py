"""The benchmark's connections, against a server that answers as it is told."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from benchmarks.http_load import Connection, at_pace, closed_loop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Sends, for each request on each connection, the next answer's parts; None hangs up."""

    def __init__(self, answers: Sequence[Sequence[bytes] | None], delay: float = 0.0) -> None:
        self._answers = list(answers)
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while self._answers:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            with connected:
                self._serve(connected)

    def _serve(self, connected: socket.socket) -> None:
        while self._answers and (request := connected.recv(65536)):
            self.requests.append(request)
            time.sleep(self._delay)
            parts = self._answers.pop(0)
            for part in parts or ():
                connected.sendall(part)
                time.sleep(0.01)
            if parts is None or not self._answers:
                return


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(*request.param)
    yield server
    server.close()


@pytest.mark.parametrize("served", [([[OK[:9], OK[9:41], OK[41:]]],)], indirect=True)
def test_an_answer_may_come_in_pieces(served: Server) -> None:
    connection = Connection(served.url)
    assert connection.call("GET", "/jobs/1") == {}
    assert served.requests[0].startswith(b"GET /api/v1/jobs/1 HTTP/1.1\r\nHost: 127.0.0.1:")
    connection.close()


@pytest.mark.parametrize("served", [([[OK], None, [OK]],)], indirect=True)
def test_a_connection_that_was_closed_meanwhile_is_opened_anew(served: Server) -> None:
    connection = Connection(served.url)
    for _ in range(2):
        assert connection.raw("GET", "/metrics") == b"{}"
    connection.close()


@pytest.mark.parametrize(
    "served", [([[b"HTTP/1.1 404 NOT FOUND\r\nContent-Length: 4\r\n\r\nnone"]],)], indirect=True
)
def test_a_refusal_is_raised_with_its_words(served: Server) -> None:
    connection = Connection(served.url)
    with pytest.raises(RuntimeError, match=r"GET /api/v1/x.*404.*none"):
        connection.call("GET", "/x")
    connection.close()


@pytest.mark.parametrize("served", [([[OK]] * 3, 0.2)], indirect=True)
def test_a_request_counts_from_when_it_was_due(served: Server) -> None:
    took = at_pace(served.url, 20, 0.15, lambda connection, _: connection.call("GET", "/x"))
    # Due at 0, 50 and 100 ms, answered at 200, 400 and 600 at the earliest.
    assert all(seconds >= least for seconds, least in zip(took, (0.2, 0.35, 0.5), strict=True))


@pytest.mark.parametrize("served", [([None] * 2,)], indirect=True)
def test_what_fails_in_a_thread_is_raised(served: Server) -> None:
    with pytest.raises(RuntimeError, match="closed"):
        closed_loop(served.url, 1, 2, lambda connection, _: connection.call("GET", "/x"))
