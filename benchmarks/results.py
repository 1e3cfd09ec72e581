"""The measurements of a run: rows for the table, and details for a closer look."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """One line of the table. The value is the median of `values`, one for each repetition."""

    model_config = ConfigDict(frozen=True)

    name: str
    values: Sequence[float]
    unit: str
    """`×` for ratios, which alone can be compared between machines."""
    target: float | None = None
    at_least: bool = False
    """Whether the target is a lower bound rather than an upper one."""
    digits: int = 2
    note: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the value, as shown, is within its target; None if there is none."""
        if self.target is None:
            return None
        shown, target = round(self.value, self.digits), round(self.target, self.digits)
        return shown >= target if self.at_least else shown <= target


class Measured(BaseModel):
    """One measurement's rows, and its details in plain JSON."""

    rows: Sequence[Row]
    details: Mapping[str, Any] = {}


class Results(BaseModel):
    """A whole run, as it is kept in its JSON file."""

    machine: Mapping[str, Any]
    run: Mapping[str, Any]
    """What was measured with which sizes, and when."""
    measured: Mapping[str, Measured] = {}

    @property
    def rows(self) -> Sequence[Row]:
        """All rows in their order."""
        return [row for measured in self.measured.values() for row in measured.rows]


def percentiles(seconds: Sequence[float]) -> Mapping[str, float]:
    """p50, p95, p99 and the longest, in ms; the nearest rank, so each is one that was seen."""
    ranked = sorted(seconds)
    return {
        name: 1000 * ranked[math.ceil(share * len(ranked)) - 1]
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    }
