"""Shows that the tests of the promises would turn red: `make mutants`.

Each mutant (the lists beside this file) is one line of the code taken away or changed in a copy of
the working tree, and the tests that must notice. They run with the mutation, and once without it.
The end is 1 where a mutant survives, where its line is not found exactly once, or where a test
fails without it.
"""

import argparse
import queue
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from tests.mutants.listed import Faulty, Mutant, listed, promise_of, promises
from tests.mutants.trees import ROOT, Run, Tree, Verdict, trees

_WIDTH: Final = 180
"""Columns where the output is no terminal."""


def main(arguments: Sequence[str]) -> int:
    """Runs the mutants asked for; returns the exit code."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell has started it in the background: sessions and copies are cleaned up.
        signal.signal(number, signal.default_int_handler)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    try:
        rows = promises((ROOT / "docs/guarantees.md").read_text())
        mutants = _asked_for(options.words)
        broken = {mutant.name: promise_of(mutant, rows) for mutant in mutants}
        for mutant in mutants:
            mutant.applied((ROOT / mutant.file).read_text())
    except Faulty as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    failed, runs = _run(mutants, options.jobs, console)
    console.print(_table(mutants, broken, runs, with_reasons=options.reasons))
    for verdict in failed:
        console.print(
            f"fails without any mutation: {verdict.test}\n{verdict.reason}",
            style="red",
            markup=False,
        )
    killed = [mutant for mutant in mutants if runs[mutant.name].are_all("killed")]
    console.print(
        f"{len(killed)} of {len(mutants)} mutants killed; "
        f"{len(set(broken.values()))} of {len(rows)} promises have been broken"
    )
    return int(bool(failed) or len(killed) < len(mutants))


def _asked_for(words: Sequence[str]) -> Sequence[Mutant]:
    """The mutants with one of the words in their name, or all. Raises Faulty where none has."""
    mutants = [it for it in listed() if not words or any(word in it.name for word in words)]
    if not mutants:
        raise Faulty("no mutant is called like that")
    return mutants


def _run(
    mutants: Sequence[Mutant], jobs: int, console: Console
) -> tuple[Sequence[Verdict], Mapping[str, Run]]:
    """The tests that fail as they are, and each mutant's run."""
    with (
        trees(jobs) as copies,
        Progress(console=console, transient=True) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for copy in copies:
            free.put(copy)
        groups = _groups(mutants)
        task = progress.add_task("mutants", total=len(groups) + len(mutants))

        def run(what: Mutant | Sequence[str]) -> Run:
            tree = free.get()
            try:
                return tree.run_mutated(what) if isinstance(what, Mutant) else tree.run(what)
            finally:
                free.put(tree)
                progress.advance(task)

        unmutated = list(pool.map(run, groups))
        mutated = list(pool.map(run, mutants))
    failed = [verdict for it in unmutated for verdict in it.verdicts if verdict.word != "passed"]
    return failed, {mutant.name: it for mutant, it in zip(mutants, mutated, strict=True)}


def _groups(mutants: Sequence[Mutant]) -> Sequence[Sequence[str]]:
    """All tests named, by their folders, whose servers they share."""
    groups: dict[str, list[str]] = {}
    for test in sorted({test for mutant in mutants for test in mutant.tests}):
        groups.setdefault(test.rpartition("/")[0], []).append(test)
    return list(groups.values())


def _table(
    mutants: Sequence[Mutant],
    broken: Mapping[str, str],
    runs: Mapping[str, Run],
    *,
    with_reasons: bool,
) -> Table:
    table = Table("mutant", "promise", show_lines=True)
    table.add_column("test", overflow="fold")
    table.add_column("verdict")
    table.add_column("seconds", justify="right")
    for mutant in mutants:
        run = runs[mutant.name]
        for number, verdict in enumerate(run.verdicts):
            reason = verdict.reason.strip().partition("\n")[0]
            shows = with_reasons or verdict.word == "broken"
            first = number == 0
            table.add_row(
                mutant.name if first else "",
                broken[mutant.name] if first else "",
                escape(f"{verdict.test}\n{reason}" if shows else verdict.test),
                verdict.word,
                f"{run.seconds:.1f}" if first else "",
                style=None if verdict.word == "killed" else "red",
            )
    return table


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description="Breaks the promises one by one, in copies of the tree, and runs their tests.",
    )
    parser.add_argument("words", nargs="*", help="only mutants with one of these in their name")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="at a time (%(default)s)")
    parser.add_argument("--reasons", action="store_true", help="say what each test failed with")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
