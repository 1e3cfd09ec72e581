"""The table of a run: on the terminal, and in docs/performance.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.results import Results, Row
from stack.run import ROOT

DOCUMENT: Final = ROOT / "docs" / "performance.md"
_BEGIN: Final = "<!-- Between these marks `python -m benchmarks report` writes. -->"
_END: Final = "<!-- The end of what it writes. -->"


def show(results: Results) -> None:
    """Prints the table."""
    console = Console(highlight=False)
    console.print(table_of(results.rows))
    for line in [_description(results), *_cautions(results)]:
        console.print(line)


def table_of(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    table = Table("", "measured", "target", "", title_justify="left")
    for row in rows:
        table.add_row(row.name, _value(row), _target(row), _verdict(row))
        if row.note:
            table.add_row(f"  [dim]{row.note}[/dim]")
    return table


def write(results: Results, document: Path = DOCUMENT) -> None:
    """Replaces the table in the document. Raises ValueError if it has no place for the table."""
    text = document.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{document} has no place for the table: {_BEGIN} … {_END}")
    written = "\n\n".join([_description(results), *_cautions(results), _markdown(results.rows)])
    document.write_text(f"{before}{begin}\n\n{written}\n\n{end}{after}")


def _markdown(rows: Sequence[Row]) -> str:
    lines = ["| | measured | target | |", "|---|---|---|---|"]
    for row in rows:
        name = f"{row.name}<br><small>{row.note}</small>" if row.note else row.name
        lines.append(f"| {name} | {_value(row)} | {_target(row)} | {_verdict(row)} |")
    return "\n".join(lines)


def _description(results: Results) -> str:
    """Where and how it was measured, in a few sentences."""
    on, run = results.machine, results.run
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    flags = ", ".join(on["flags"]) or "none of AVX2, AVX512, AMX"
    encoders = ", ".join(f"{process}: {chosen}" for process, chosen in run["encoders"].items())
    return (
        f"Measured {run['date']} in {run['minutes']} minutes"
        f"{' (quick form)' if run['form'] == 'quick' else ''} on: {on['processor']}, "
        f"{on['cores']} cores ({flags}), {on['memory_gb']} GB, {on['system']}, "
        f"data on {on['temporary_files']}; {versions}. "
        f"Model: {run['model']} ({encoders}); pictures: {run['pictures']}. "
        "Values are medians of their repetitions."
    )


def _cautions(results: Results) -> Sequence[str]:
    cautions = list(machine.warnings(results.machine))
    if results.run["form"] == "smoke":
        cautions.append("Tiny sizes: this shows that the benchmark works, and nothing else.")
    return cautions


def _value(row: Row) -> str:
    return _with_unit(row.value, row)


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    return f"{'≥' if row.at_least else '≤'} {_with_unit(row.target, row)}"


def _with_unit(value: float, row: Row) -> str:
    number = f"{value:,.{row.digits}f}"
    return f"{number}{row.unit}" if row.unit in ("×", "/s", "") else f"{number} {row.unit}"


def _verdict(row: Row) -> str:
    return {True: "met", False: "**missed**", None: ""}[row.met]
