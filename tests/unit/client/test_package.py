"""`pip install ./client`: a package of its own, with all that the command needs."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

CLIENT = Path(__file__).parents[3] / "client"


def test_the_client_can_be_installed_alone(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--wheel-dir", str(tmp_path), str(CLIENT)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = tmp_path.glob("vitrine_client-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("vitrine/")}
    modules = {str(path.relative_to(CLIENT)) for path in (CLIENT / "vitrine").rglob("*.py")}
    assert held == modules


def test_it_needs_few_and_small_packages() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert [need.partition(">=")[0] for need in project["dependencies"]] == [
        "click",
        "requests",
        "rich",
        "urllib3",
    ]
