"""How far a command is, on a terminal; elsewhere nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Advance(Protocol):
    """Called with the number of things done."""

    def __call__(self, done: int) -> None: ...


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Advance]:
    """A bar on stderr. `total`: how many things there are; None if nobody knows."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=total)

        def advance(done: int) -> None:
            progress.advance(task, done)

        yield advance
