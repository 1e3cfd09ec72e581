"""What a process of a test's stack notes of itself, and where it dies on order."""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from shared.qdrant.points import ProductKey


class Phases:
    """This process's notes, one JSON object a line, and its end where an order says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = ""
        # One write per line in append mode: threads never mix theirs, and a kill loses none.
        self._notes = os.open(
            folder / f"{os.getpid()}.notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )

    def enter(self, phase: str, keys: Sequence[ProductKey] = ()) -> None:
        """Notes the phase, and dies if an order names it. `keys`: the products concerned."""
        self.note(phase, keys)
        if self.is_ordered(phase):
            self.die(phase)

    def is_ordered(self, phase: str) -> bool:
        """Whether this process is the one that an order wants dead here; told once."""
        try:
            (self.folder / f"{self.process}.{phase}").unlink()
        except FileNotFoundError:
            return False
        return True

    def note(self, phase: str, keys: Sequence[ProductKey] = ()) -> None:
        """One line of the notes."""
        line = {"at": time.time(), "process": self.process, "phase": phase, "keys": keys}
        os.write(self._notes, json.dumps(line).encode() + b"\n")

    def die(self, phase: str) -> NoReturn:
        """kill -9, by its own hand."""
        self.note(f"killed {phase}")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")
