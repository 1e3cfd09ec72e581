"""A copy of the working tree, in which code may be broken and tests be run."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.listed import Mutant

ROOT: Final = Path(__file__).parents[2]

_SESSION_SECONDS: Final = 300
"""The tests of one mutant take some seconds, those of all without mutation less than a minute."""

_NOT_THE_PROMISE: Final = re.compile(
    r"\b(SyntaxError|ImportError|ModuleNotFoundError|NameError|UnboundLocalError|AttributeError)\b"
    r"|Error compiling script|nonexistent global"
)
"""Code that can't even run turns any test red, and shows nothing about it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test ended: `word` is killed, survived or broken; passed or failed where nothing was
    mutated.
    """

    test: str
    word: str
    reason: str

    @property
    def is_good(self) -> bool:
        return self.word in ("killed", "passed")


class Tree:
    """The copy. Its tests see nothing of the working tree."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._second = 0
        for name in _files():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)

    def run(self, tests: Sequence[str]) -> Sequence[Verdict]:
        """The tests as they are."""
        outcomes, said = self._session(tests)
        return [_unmutated(test, _of(test, outcomes), said) for test in tests]

    def run_mutated(self, mutant: Mutant) -> Sequence[Verdict]:
        """The mutant's tests on its code; the copy is mended afterwards."""
        path = self._folder / mutant.file
        source = path.read_text()
        self._write(path, mutant.applied(source))
        try:
            outcomes, said = self._session(mutant.tests)
        finally:
            self._write(path, source)
        return [_mutated(test, _of(test, outcomes), said) for test in mutant.tests]

    def _write(self, path: Path, source: str) -> None:
        # Python takes bytecode for that of the file where size and second are the same.
        self._second += 1
        path.write_text(source)
        os.utime(path, (self._second, self._second))

    def _session(self, tests: Sequence[str]) -> tuple[Mapping[str, Sequence[str]], str]:
        """How each test ended, and what pytest said."""
        results = self._folder / "results.json"
        results.unlink(missing_ok=True)
        # Plugins that happen to be installed take a second to load; the session names its own.
        environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environ.pop("PYTHONPATH", None)
        command = [sys.executable, "-m", "tests.mutants.session", str(results), *tests]
        session = subprocess.Popen(
            command,
            cwd=self._folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = f"not done within {_SESSION_SECONDS} s"
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, _ = session.communicate(timeout=_SESSION_SECONDS)
        finally:
            # With whatever servers its tests may have left.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session.pid, signal.SIGKILL)
            session.wait()
        outcomes = json.loads(results.read_text()) if results.exists() else {}
        return outcomes, said


def _files() -> Sequence[Path]:
    """What git knows or would take, as it stands now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    names = {Path(os.fsdecode(name)) for name in answer.stdout.split(b"\0") if name}
    return sorted(name for name in names if (ROOT / name).is_file())


def _of(test: str, outcomes: Mapping[str, Sequence[str]]) -> Sequence[Sequence[str]]:
    """The outcomes of a test's cases."""
    return [found for node, found in outcomes.items() if node.partition("[")[0] == test]


def _unmutated(test: str, outcomes: Sequence[Sequence[str]], said: str) -> Verdict:
    for outcome, reason in outcomes:
        if outcome != "passed":
            return Verdict(test, "failed", reason)
    return Verdict(test, "passed", "") if outcomes else Verdict(test, "failed", said)


def _mutated(test: str, outcomes: Sequence[Sequence[str]], said: str) -> Verdict:
    reasons = [reason for outcome, reason in outcomes if outcome == "failed"]
    errors = [reason for outcome, reason in outcomes if outcome == "error"]
    for reason in reasons:
        if not _NOT_THE_PROMISE.search(reason):
            return Verdict(test, "killed", reason)
    if reasons or errors or not outcomes:
        return Verdict(test, "broken", (reasons or errors or [said])[0])
    return Verdict(test, "survived", "")
