"""A WSGI app whose answers break off, for gunicorn in a process of its own."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """`/broken` fails after its head was sent, `/ending` would end whoever calls it."""
    if environ["PATH_INFO"] == "/ending":
        raise SystemExit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return _broken() if environ["PATH_INFO"] == "/broken" else [str(os.getpid()).encode()]


def _broken() -> Iterator[bytes]:
    yield b"some of it"
    raise RuntimeError("for a test")
