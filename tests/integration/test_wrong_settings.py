"""Every process tells wrong settings in a line each, without a trace, and with one exit code."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.settings import SETTINGS_FAULT
from stack.run import ROOT


def test_a_stack_open_to_the_network_without_keys_starts_nothing(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "stack"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "API_HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (SETTINGS_FAULT, "")
    assert ran.stderr.startswith("vitrine: API_HOST is 0.0.0.0 and API_KEYS_FILE is not set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "stack"],
        ["-m", "stack.redis", "ledger"],
        ["-m", "stack.qdrant"],
        ["-m", "gunicorn", "-c", str(ROOT / "api/gunicorn_conf.py"), "api.wsgi:app"],
        ["-m", "celery", "--quiet", "-A", "worker.app", "worker", "--pool", "threads"],
        ["-m", "operations", "backup"],
    ],
    ids=lambda command: command[1],
)
def test_wrong_settings_are_told_without_a_trace(command: Sequence[str], tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,  # where no .env lies
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "API_PORT": "abc",
            "CLIP_DEVICE": "tpu",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (
        SETTINGS_FAULT,
        "",
        "vitrine: API_PORT=abc: must be a whole number\n"
        "vitrine: CLIP_DEVICE=tpu: must be 'auto', 'cpu' or 'cuda'\n",
    )
    assert list(tmp_path.iterdir()) == []
