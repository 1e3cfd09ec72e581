"""The table that `make test-reliability` ends with."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Row:
    """What one fault did. `lost` and `doubled` count items and products; both must be 0."""

    fault: str
    phases: Counter[str] = field(default_factory=Counter)
    """How often it was injected, by where it met its victim."""
    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    recovery_seconds: float | None = None
    """From the end of the (last) fault until everything accepted had ended, or was served."""
    remark: str = ""


@dataclass
class Table:
    """One row per fault, in the order of the tests."""

    rows: list[Row] = field(default_factory=list)

    def row(self, fault: str) -> Row:
        """A new row, filled as the test goes on: a failed one shows how far it came."""
        row = Row(fault)
        self.rows.append(row)
        return row

    def lines(self) -> list[str]:
        """The table in Markdown."""
        lines = [
            "| fault | injected | where | accepted | lost | doubled | s to recover | |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            phases = ", ".join(f"{phase} {times}" for phase, times in sorted(row.phases.items()))
            seconds = "" if row.recovery_seconds is None else f"{row.recovery_seconds:.1f}"
            lines.append(
                f"| {row.fault} | {row.phases.total()} | {phases} | {row.accepted} | {row.lost} "
                f"| {row.doubled} | {seconds} | {row.remark} |"
            )
        return lines
