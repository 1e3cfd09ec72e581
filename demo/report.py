"""The demo's output: on the terminal, or line by line if there is none."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from demo.client import PREFIX, Searched

LOG_LINES: Final = 15
_LOG_WIDTH: Final = 400
_LINES_PER_PROGRESS: Final = 4
"""If nobody watches, a progress is told in so many lines."""


class Advance(Protocol):
    """Tells how many are done."""

    def __call__(self, done: int) -> None:
        """Shows `done`, a total and not a difference."""
        ...


class Report:
    """Writes to a console; every text is plain, without rich's markup."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0

    def intro(self, lines: Sequence[str]) -> None:
        """What is going to happen."""
        self._console.print(
            Panel(Text("\n".join(lines)), title="[bold]Vitrine[/] demo", width=self._width())
        )

    def step(self, title: str) -> None:
        """The headline of the next step, numbered."""
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}.[/] [bold]{escape(title)}[/]")

    def line(self, text: str = "") -> None:
        """A line of plain text, never broken: it may be meant for copying."""
        self._console.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A remark beside the story."""
        self._console.print(f"   [dim]{escape(text)}[/]", soft_wrap=True)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        """A bar that fills, or a few lines if the output is no terminal."""
        if not self._console.is_terminal:
            yield _ProgressLines(self, label, total)
            return
        columns = (
            TextColumn("   {task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task(escape(label), total=total)

            def advance(done: int) -> None:
                bar.update(task, completed=done)

            yield advance

    def search(self, searched: Searched) -> None:
        """A search's request, its results and its times."""
        self._console.print(f"\n   POST {PREFIX}/search", style="dim")
        self._console.print(f"   [bold]{escape(as_json(searched.request))}[/]", soft_wrap=True)
        table = Table(width=self._width(), box=SIMPLE_HEAD, header_style="dim", border_style="dim")
        table.add_column("", justify="right", min_width=2)
        table.add_column("product", no_wrap=True)
        table.add_column("name", ratio=1)
        table.add_column("category")
        table.add_column("price", justify="right")
        table.add_column("cosine", justify="right")
        for rank, result in enumerate(searched.results, 1):
            table.add_row(*map(Text, result_cells(rank, result)))
        self._console.print(table)
        style = "bold green" if searched.cached else "bold"
        self._console.print(f"   {escape(times(searched))}", style=style)

    def checks(self, checks: Mapping[str, bool]) -> None:
        """What had to be true, and whether it was."""
        for name, met in checks.items():
            mark = "[green]ok    [/]" if met else "[bold red]FAILED[/]"
            self._console.print(f"   {mark} {escape(name)}")

    def failure(self, text: str, logs: Sequence[Path]) -> None:
        """What went wrong, with the last lines of the logs that may tell why."""
        self._console.print(f"\n[bold red]The demo failed:[/] {escape(text)}", soft_wrap=True)
        for path in logs:
            if lines := tail(path, LOG_LINES):
                self._console.print(f"\n[dim]the end of {escape(path.name)}:[/]")
                for text_line in lines:
                    self.line(f"  {text_line}")

    def _width(self) -> int:
        # Tables as wide as a big screen are hard to read across.
        return min(self._console.width, 96)


class _ProgressLines:
    """Tells a progress in a few lines."""

    def __init__(self, report: Report, label: str, total: int) -> None:
        self._report = report
        self._label = label
        self._total = total
        self._told = 0

    def __call__(self, done: int) -> None:
        quarter = done * _LINES_PER_PROGRESS // self._total
        if quarter > self._told:
            self._told = quarter
            self._report.line(f"   {self._label}: {done}/{self._total}")


def as_json(request: Mapping[str, Any]) -> str:
    """A request's body, accents as they are."""
    return json.dumps(request, ensure_ascii=False)


def result_cells(rank: int, result: Mapping[str, Any]) -> tuple[str, ...]:
    """A result as the cells of the table's row; a field that a product lacks stays empty."""
    return (
        str(rank),
        str(result["product_id"]),
        str(result["name"]),
        str(result.get("category") or ""),
        price(result.get("price")),
        f"{result['similarity_score']:.3f}",
    )


def price(amount: float | None) -> str:
    """An amount with its cents; empty if there is none. The API knows no currency."""
    return "" if amount is None else f"{amount:.2f}"


def times(searched: Searched) -> str:
    """Such as "5 results · server 12.4 ms · wall 15.0 ms · computed"."""
    count = len(searched.results)
    return " · ".join(
        (
            f"{count} result{'' if count == 1 else 's'}",
            f"server {searched.server_ms:.1f} ms",
            f"wall {searched.wall_ms:.1f} ms",
            "cached: true" if searched.cached else "cached: false",
        )
    )


def tail(path: Path, count: int) -> list[str]:
    """The last `count` lines of a log, cut to a readable length; none if there is no log."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line[:_LOG_WIDTH] for line in lines if line.strip()][-count:]
