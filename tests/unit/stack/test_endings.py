"""What ends with us: whether this system's setpriv can see to it, and what the remover removes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from stack.endings import Remover, ending_with_us, remove
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("script", [None, "#!/bin/sh\necho unrecognized option >&2; exit 1\n"])
def test_no_setpriv_or_one_of_another_kind_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    if script:
        (tmp_path / "setpriv").write_text(script)
        (tmp_path / "setpriv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ending_with_us() == ()


def test_the_remover_removes_once_its_process_was_killed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    code = (
        "import os, sys; from pathlib import Path; from stack.endings import Remover\n"
        "Remover([Path(sys.argv[1])]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], cwd=ROOT, timeout=60, check=False)
    wait_until(lambda: not (tmp_path / "a").exists())


def test_a_remover_that_is_called_off_removes_nothing(tmp_path: Path) -> None:
    Remover([tmp_path]).call_off()
    time.sleep(1.5)  # longer than it waits
    assert tmp_path.exists()


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for _ in range(2):
        remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()
