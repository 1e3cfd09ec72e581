"""gunicorn as a process of its own, serving the API of tests."""

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stack.ports import free_port

ROOT = Path(__file__).parents[3]


def start_gunicorn(
    app: str, output: IO[str] | int = subprocess.PIPE, **settings: str
) -> subprocess.Popen[str]:
    """Starts it with these settings and none of this environment's."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn_conf.py", app],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT), **settings},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def serving(**settings: str) -> Iterator[int]:
    """The port of a running API, which must end in order and without a trace of errors."""
    with running(**settings) as (_, port):
        yield port


@contextmanager
def running(**settings: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """As `serving`, with the process. `API_PORT` is a free port unless it is given."""
    port = int(settings.pop("API_PORT", 0)) or free_port()
    # A file: a pipe that nobody reads from would stop the server once it is full.
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed once it has been read
    process = start_gunicorn(
        "tests.integration.api.served:app", log, API_PORT=str(port), **settings
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            # The socket listens before the app is there, so it must answer, too.
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("GET", "/healthz")
                assert connection.getresponse().status == 200
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            finally:
                connection.close()
        yield process, port
    finally:
        process.terminate()
        process.wait(60)
        with log:
            log.seek(0)
            output = log.read()
    assert process.returncode == 0
    assert "Traceback" not in output, output
