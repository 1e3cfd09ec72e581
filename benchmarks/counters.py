"""The counters of all processes of the stack, read from `/metrics`."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.http_load import Connection

PICTURES: Final = 'embeddings_total{kind="image"}'
IMAGE_BUSY: Final = 'encoder_busy_seconds_total{kind="image"}'

_PENDING: Final = "ledger_pending"
_VALUE: Final = re.compile(r"^(\w+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Counters:
    """Values by name with labels, and when they were read (time.perf_counter)."""

    at: float
    values: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, 0.0)

    @property
    def pending(self) -> float:
        """Products with a change that hasn't landed, of all lanes."""
        return sum(value for name, value in self.values.items() if name.startswith(_PENDING))


def read(connection: Connection) -> Counters:
    """The counters now."""
    text = connection.raw("GET", "/metrics").decode()
    return Counters(
        time.perf_counter(), {name: float(value) for name, value in _VALUE.findall(text)}
    )


def at_change(connection: Connection, name: str, poll_seconds: float = 0.02) -> Counters:
    """The counters at the moment in which this one changes, or once nothing is left to do.

    A forward pass is counted at its end. Between two such moments whole passes lie, so rates and
    shares of time are exact to the time between two looks.
    """
    before = read(connection)
    return _until(
        connection, lambda now: now[name] != before[name] or not now.pending, poll_seconds
    )


def nothing_pending(connection: Connection) -> Counters:
    """The counters once all accepted changes have landed."""
    return _until(connection, lambda now: not now.pending, _LOOK_SECONDS)


def reached(connection: Connection, name: str, value: float) -> None:
    """Returns once a counter is that high; workers count a little later than they report."""
    _until(connection, lambda now: now[name] >= value, _LOOK_SECONDS)


def _until(
    connection: Connection, holds: Callable[[Counters], bool], poll_seconds: float
) -> Counters:
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while not holds(now := read(connection)):
        if now.at > deadline:
            raise RuntimeError("the workers stand still, or counted less than was asked of them")
        time.sleep(poll_seconds)
    return now
