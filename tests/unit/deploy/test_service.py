"""deploy/vitrine.service: what systemd makes of it, as far as that goes without starting it."""

import os
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from shared.settings import SETTINGS_FAULT, Settings
from stack.supervision import STOP_SECONDS

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "vitrine.service"


@pytest.fixture
def service() -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


def test_a_killed_stack_is_started_again_unless_its_settings_are_wrong(
    service: dict[str, str],
) -> None:
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == str(SETTINGS_FAULT)
    assert "StartLimitIntervalSec=0" in UNIT.read_text()
    assert int(service["TimeoutStopSec"]) > STOP_SECONDS


def test_it_runs_what_make_run_runs_as_a_plain_user(service: dict[str, str]) -> None:
    run = (ROOT / "Makefile").read_text().partition("\nrun: venv\n")[2].splitlines()[0]
    assert service["ExecStart"].split()[1:] == run.split()[1:] == ["-m", "stack"]
    assert (service["User"], service["UMask"], service["StateDirectoryMode"]) == (
        "vitrine",
        "0077",
        "0700",
    )
    names = {pair.split("=")[0] for pair in service["Environment"].split()}
    assert names <= {name.upper() for name in Settings.model_fields} | {"HF_HOME", "HOME"}


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        assert "CI" not in os.environ, "CI runs this: install systemd"
        pytest.skip("LEFT OUT: there is no systemd-analyze here")
    text = UNIT.read_text().replace("/opt/vitrine/.venv/bin/python", sys.executable)
    (tmp_path / "vitrine.service").write_text(text)
    ran = subprocess.run(
        [analyze, "verify", tmp_path / "vitrine.service"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = [line for line in ran.stderr.splitlines() if "vitrine.service" in line]
    assert (ran.returncode, told) == (0, []), ran.stderr
