"""An answer that breaks off costs its own connection, and neither a thread nor the process."""

import http.client
import subprocess
import time

import pytest

from stack.ports import free_port
from tests.integration.api.gunicorn_process import start_gunicorn

THREADS = 4


def test_answers_that_break_off_leave_process_and_threads_alone() -> None:
    port = free_port()
    process = start_gunicorn(
        "tests.integration.api.broken_answers:app",
        subprocess.DEVNULL,
        API_PORT=str(port),
        API_THREADS=str(THREADS),
    )
    try:
        served_by = _when_there(port)
        for path in ["/broken", "/ending"] * (THREADS + 1):
            with pytest.raises((http.client.HTTPException, OSError)):
                _answer(port, path)
        assert _answer(port, "/") == served_by
    finally:
        process.kill()
        process.wait()


def _when_there(port: int) -> bytes:
    deadline = time.monotonic() + 30
    while True:
        try:
            return _answer(port, "/")
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _answer(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
