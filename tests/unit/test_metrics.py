"""Where metrics are kept."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "loading",
    [
        "runpy.run_path('{root}/api/gunicorn_conf.py')",
        "import api.app",
        "import worker.app",
    ],
)
def test_an_empty_directory_for_metrics_is_none(tmp_path: Path, loading: str) -> None:
    counts = "import runpy; {}; from shared.metrics import REPORTS; REPORTS.labels('x').inc()"
    ran = subprocess.run(
        [sys.executable, "-c", counts.format(loading.format(root=ROOT))],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert list(tmp_path.iterdir()) == []
