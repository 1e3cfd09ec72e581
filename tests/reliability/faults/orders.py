"""Orders to the workers of a test, and what they noted: the side of the test."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POISON = "poison"
"""The file that holds the SHA-256 of the picture that kills whoever embeds it."""

PHASES_OF = {
    "worker": ("claimed", "fetching", "embedding", "embedded", "writing", "written", "reported"),
    "worker-fast": ("claimed", "writing", "written", "reported"),
}
"""Where a process can be ordered to die. At `written` Qdrant holds what nobody has reported."""

Key = tuple[str, str]


def folder_of(data_dir: Path) -> Path:
    """Where orders and notes lie."""
    folder = data_dir / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Death:
    """One process's end: where it was, and the products that it had claimed and not reported."""

    pid: int
    process: str
    phase: str
    in_work: frozenset[Key]


class Orders:
    """What tests tell the workers of one stack."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = folder_of(data_dir)

    def die(self, process: str, phase: str) -> None:
        """The process dies when it next comes to the phase; its successors don't."""
        (self._folder / f"{process}.{phase}").touch()

    def is_open(self, process: str, phase: str) -> bool:
        """Whether nobody has come to that phase yet."""
        return (self._folder / f"{process}.{phase}").exists()

    def withdraw(self, process: str, phase: str) -> None:
        """Nobody shall die there any more."""
        (self._folder / f"{process}.{phase}").unlink(missing_ok=True)

    def wait(self, process: str, phase: str, seconds: float) -> bool:
        """Whether it was carried out in time."""
        deadline = time.monotonic() + seconds
        while self.is_open(process, phase):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def poison(self, sha256: str) -> None:
        """The picture with these bytes kills whoever embeds it."""
        (self._folder / POISON).write_text(sha256)

    def lift_poison(self) -> None:
        """No picture kills any more."""
        (self._folder / POISON).unlink(missing_ok=True)

    def death(self, pid: int) -> Death:
        """What the process that was killed had in its hands."""
        process, phase = "", "starting"
        in_work: set[Key] = set()
        for note in self._notes(pid):
            process, phase = note["process"], note["phase"]
            keys = {(tenant, product_id) for tenant, product_id in note["keys"]}
            if phase == "claimed":
                in_work |= keys
            elif phase == "reported":
                in_work -= keys
        return Death(pid, process, phase, frozenset(in_work))

    def deaths_by_order(self) -> Iterator[Death]:
        """All processes that killed themselves."""
        for file in self._folder.glob("*.notes"):
            death = self.death(int(file.stem))
            if death.phase.startswith("killed "):
                yield death

    def count(self, phase: str) -> int:
        """How often any process came to the phase."""
        files = self._folder.glob("*.notes")
        return sum(file.read_text().count(f'"phase": "{phase}"') for file in files)

    def _notes(self, pid: int) -> Iterator[dict[str, Any]]:
        file = self._folder / f"{pid}.notes"
        for line in file.read_text().splitlines() if file.exists() else ():
            yield json.loads(line)
