"""Runs tests in a process of their own and writes down how each ended.

`python -m tests.mutants.session RESULTS NODE…` in the tree whose tests they are. RESULTS becomes
JSON: `{node id: [outcome, reason]}`. `outcome` is pytest's of the test itself, or "error" where it
did not get so far.
"""

import json
import sys
from pathlib import Path
from typing import Final

import pytest

PLUGINS: Final = (
    *("-p", "pytest_timeout"),
    *("-p", "_hypothesis_pytestplugin"),
    *("-p", "no:cacheprovider"),
)
"""All that tests of promises need; loading those that are installed by chance takes a second."""


class Recorder:
    """A plugin that keeps the outcomes."""

    def __init__(self) -> None:
        self.outcomes: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.outcomes[report.nodeid] = (report.outcome, _reason(report))
        elif report.failed:
            self.outcomes.setdefault(report.nodeid, ("error", _reason(report)))


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr or "")


if __name__ == "__main__":
    results, *nodes = sys.argv[1:]
    recorder = Recorder()
    # No test runs for a minute, unless its mutant has it wait for what never comes.
    arguments = ["-q", "--no-header", "--timeout=60", *PLUGINS, *nodes]
    pytest.main(arguments, plugins=[recorder])
    Path(results).write_text(json.dumps(recorder.outcomes))
