"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 60.0
"""After this long a test calls something hung; how fast the machine is says nothing about that."""


def wait_until(condition: Callable[[], object], about: str | Callable[[], object] = "") -> None:
    """Returns once the condition holds. `about`: what to show if it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, about() if callable(about) else about
        time.sleep(0.01)
