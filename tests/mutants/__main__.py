"""Shows that the tests of the promises would turn red: `make mutants`.

Each mutant (the lists beside this file) is one line of the code taken away or changed in a copy of
the working tree, and the tests that must notice. They run with the mutation, and once without it.
The end is 1 if a mutant survives, if its line is not found exactly once, or if a test fails without
it.
"""

import argparse
import itertools
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.listed import Faulty, Mutant, listed, promise_of, promises
from tests.mutants.tree import ROOT, Tree, Verdict


def main(arguments: Sequence[str]) -> int:
    """Runs the mutants asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("words", nargs="*", help="only mutants with one of these in their name")
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also if a shell has started it in the background: sessions and the copy are cleaned up.
        signal.signal(number, signal.default_int_handler)
    try:
        mutants = _asked_for(parser.parse_args(arguments).words)
        rows = promises((ROOT / "docs/guarantees.md").read_text())
        broken = {promise_of(mutant, rows) for mutant in mutants}
        for mutant in mutants:
            mutant.applied((ROOT / mutant.file).read_text())
    except Faulty as fault:
        print(fault)
        return 1
    with tempfile.TemporaryDirectory(prefix="vitrine-mutants-") as folder:
        tree = Tree(Path(folder))
        sound = [_tell("without mutation", tree.run(tests)) for tests in _groups(mutants)]
        killed = [_tell(mutant.name, tree.run_mutated(mutant)) for mutant in mutants]
    print(
        f"{sum(killed)} of {len(killed)} mutants killed; "
        f"{len(broken)} of {len(rows)} promises have been broken"
    )
    return int(not all([*sound, *killed]))


def _asked_for(words: Sequence[str]) -> Sequence[Mutant]:
    """The mutants with one of the words in their name, or all. Raises Faulty if none has."""
    mutants = [it for it in listed() if not words or any(word in it.name for word in words)]
    if not mutants:
        raise Faulty("no mutant is called like that")
    return mutants


def _groups(mutants: Sequence[Mutant]) -> Sequence[Sequence[str]]:
    """All tests named, by their folders, whose servers they share."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    folders = itertools.groupby(tests, key=lambda test: test.partition("::")[0].rpartition("/")[0])
    return [list(group) for _, group in folders]


def _tell(name: str, verdicts: Sequence[Verdict]) -> bool:
    """Prints how the tests ended; returns whether all did as they should."""
    for verdict in verdicts:
        print(f"{verdict.word:9} {name}: {verdict.test}", flush=True)
        if not verdict.is_good:
            print(verdict.reason)
    return all(verdict.is_good for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
