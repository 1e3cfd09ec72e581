"""The benchmark runs to its end and counts right; what it measures here means nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.results import Results
from stack.run import ROOT

pytestmark = pytest.mark.slow


def test_a_tiny_run_ends_with_its_table_and_file(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    options = f"--smoke --model demo --only pushing patching memory --output {output}"
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options.split()],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "accepting 500 products in one call" in ran.stdout
    results = Results.model_validate_json(output.read_text())
    assert results.run["encoders"] == {"worker": "torch fp32", "api": "torch fp32"}
    rows = {row.name: row for row in results.rows}
    assert rows["pictures embedded for these"].values == [0.0]
    assert all(row.value > 0 for name, row in rows.items() if "embedded" not in name)
    assert {f"memory of {name}" for name in ("api", "worker", "qdrant", "redis")} <= rows.keys()
