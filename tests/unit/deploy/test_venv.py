"""`deploy/venv.sh`: what make's targets set up, when anew, and with which Python."""

import os
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

PIP = {"PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone whose requirements are empty, so that nothing is downloaded."""
    folder = tmp_path / "clone"
    (folder / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "venv.sh", folder / "deploy")
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        (folder / name).touch()
    (folder / "client").mkdir()
    (folder / "client" / "pyproject.toml").touch()
    return folder


def set_up(checkout: Path, *python: str, path: str = "") -> tuple[int, str]:
    ran = subprocess.run(
        ["/bin/sh", "deploy/venv.sh", *python],
        cwd=checkout,
        env={"PATH": path or f"{Path(sys.executable).parent}:{os.defpath}", **PIP},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def python_of(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "python"


@pytest.mark.slow
def test_it_goes_by_content_and_mends_what_is_broken(checkout: Path) -> None:
    code, said = set_up(checkout, sys.executable)
    assert (code, f"Setting up .venv with Python {VERSION}" in said) == (0, True), said
    stamp = checkout / ".venv" / ".installed"

    # A new clone, or another branch and back: times differ, content doesn't.
    for name in ("requirements.txt", "constraints.txt"):
        os.utime(checkout / name)
    os.utime(stamp, (0, 0))
    assert set_up(checkout) == (0, "")

    (checkout / "constraints.txt").write_text("pip>1\n")
    assert set_up(checkout) == (0, "Bringing .venv up to the requirements.\n")
    assert set_up(checkout) == (0, "")

    # An install that was cut short: pip fails, and the next one begins again.
    (checkout / "requirements-dev.txt").write_text("a-package-that-is-nowhere==1\n")
    for _ in range(2):
        code, said = set_up(checkout)
        assert (code != 0, "a-package-that-is-nowhere" in said) == (True, True), said
        assert not stamp.exists()
    (checkout / "requirements-dev.txt").write_text("")
    assert set_up(checkout)[0] == 0

    moved = checkout.rename(checkout.with_name("moved"))
    code, said = set_up(moved, sys.executable)
    assert (code, "Setting up .venv" in said) == (0, True), said
    assert str(moved) in (moved / ".venv" / "bin" / "pip").read_text()

    python_of(moved).unlink()
    python_of(moved).symlink_to("/nowhere/python3")
    code, said = set_up(moved, sys.executable)
    assert (code, "Setting up .venv" in said) == (0, True), said


def wheel(folder: Path, name: str) -> None:
    """A package of more than a megabyte."""
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.bin", os.urandom(1_500_000))
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.mark.slow
def test_each_large_download_and_the_installation_are_told(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "large")
    handler = partial(SimpleHTTPRequestHandler, directory=str(wheels))
    (checkout / "requirements-dev.txt").write_text("large==1\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setitem(PIP, "PIP_FIND_LINKS", f"http://127.0.0.1:{server.server_port}/")
        code, said = set_up(checkout, sys.executable)
        server.shutdown()
    assert code == 0, said
    steps = [line for line in said.splitlines() if line.startswith("  ")]
    assert [step.split()[0] for step in steps] == ["asking", "downloading", "installing"], said
    assert "large-1-py3-none-any.whl (1.5 MB)" in steps[1]


def fake_python(folder: Path, name: str, version: str, *, venv: bool = True) -> None:
    """Answers what the script asks, as a Python of that version would, and makes no environment."""
    minor = version.split(".")[1]
    path = folder / name
    path.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"  *version_info*print*|*print*version_info*) echo {version};;\n"
        f"  *version_info*) [ {minor} -ge 11 ] && [ {minor} -le 14 ];;\n"
        f"  *ensurepip*) exit {0 if venv else 1};;\n"
        "  *) exit 9;;\n"
        "esac\n"
    )
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("pythons", "said"),
    [
        ({"python3": "3.13", "python3.11": "3.11"}, "with Python 3.11"),
        ({"python3.11": "3.11", "python3.12": "3.12"}, "with Python 3.12"),
        ({"python3.14": "3.14", "python3.12": "3.12"}, "with Python 3.14"),
        ({"python3": "3.12", "python3.15": "3.15"}, "with Python 3.12"),
        ({"python3.13": "3.13-", "python3.12": "3.12"}, "with Python 3.12"),
        ({"python3": "3.12-"}, "apt install python3.12-venv"),
        ({"python3": "3.10"}, "no Python from 3.11 to 3.14 was found"),
        ({"python3": "3.15"}, "python3.11-venv. Or name one: make PYTHON="),
        ({}, "no Python from 3.11 to 3.14 was found"),
    ],
)
def test_the_newest_python_that_will_do_is_taken_or_what_is_missing_named(
    checkout: Path, tmp_path: Path, pythons: dict[str, str], said: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("cat", "sha256sum", "cut", "rm", "grep"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    for name, version in pythons.items():
        fake_python(folder, name, version.rstrip("-"), venv=not version.endswith("-"))
    code, shown = set_up(checkout, path=str(folder))
    assert (code != 0, said in shown) == (True, True), shown


def test_a_python_that_is_named_must_do(checkout: Path) -> None:
    code, said = set_up(checkout, "/nowhere/python3")
    assert (code, "PYTHON=/nowhere/python3 is no Python" in said) == (1, True)


def test_what_compose_needs_asks_for_no_environment() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("env", "api-key", "api-keys", "revoke-api-key"):
        assert f"\n{target}:\n" in makefile
    assert "\nrun: venv\n" in makefile
