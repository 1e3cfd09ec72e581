"""The list of mutants: what is taken from the code, and which tests must turn red."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field

LISTS: Final = Path(__file__).parent


class Faulty(Exception):
    """An entry of the lists is wrong; the message names it and says how."""


class Mutant(BaseModel):
    """One line of the code taken away or changed, so that one promise is broken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """What the mutated code does, in a few words; no other mutant has the same."""
    promise: str
    """The promise that dies: words that stand in exactly one row of docs/guarantees.md."""
    file: str
    find: str = Field(min_length=1)
    """Stands in the file exactly once."""
    replace: str
    """What stands there instead; empty for a removal."""
    tests: tuple[str, ...] = Field(min_length=1)
    """pytest's node ids, without parameters. Every one must turn red: of one with parameters, at
    least one case."""

    def applied(self, source: str) -> str:
        """The source with the mutation. Raises Faulty where its place is not found once."""
        found = source.count(self.find)
        if found != 1:
            raise Faulty(f"{self.name}: {self.file} holds its text {found} times, not once")
        mutated = source.replace(self.find, self.replace)
        if self.file.endswith(".py"):
            try:
                compile(mutated, self.file, "exec")
            except SyntaxError as err:
                raise Faulty(
                    f"{self.name}: what is left of {self.file} is no Python: {err}"
                ) from err
        return mutated


def listed() -> Sequence[Mutant]:
    """All mutants of all lists, in order."""
    mutants = [
        Mutant.model_validate(entry)
        for path in sorted(LISTS.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text())
    ]
    names = [mutant.name for mutant in mutants]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Faulty(f"two mutants are called {', '.join(twice)}")
    return mutants


def promises(guarantees: str) -> Sequence[str]:
    """The first cells of the tables in docs/guarantees.md."""
    rows = [line.split("|")[1].strip() for line in guarantees.splitlines() if line.startswith("|")]
    return [cell for cell in rows if cell != "promise" and not cell.startswith("---")]


def promise_of(mutant: Mutant, rows: Sequence[str]) -> str:
    """The row that the mutant breaks. Raises Faulty where there isn't exactly one."""
    found = [row for row in rows if mutant.promise in row]
    if len(found) != 1:
        raise Faulty(f"{mutant.name}: {len(found)} rows of docs/guarantees.md hold its promise")
    return found[0]
