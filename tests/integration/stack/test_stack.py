"""The supervised stack: what it starts again, what ends it, and what it leaves alone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.settings import SETTINGS_FAULT, Settings
from stack import run as stack_module
from stack.data_dir import DataDir
from stack.run import ROOT, Stack, StackError
from stack.supervision import has_given_up
from tests.processes import process_tree
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("state", "code", "given_up"),
    [
        ("EXITED", -1, False),  # by a signal; the next moment it is started again
        ("EXITED", 0, False),
        ("EXITED", 1, False),
        ("EXITED", 3, True),
        ("EXITED", 4, True),
        ("EXITED", SETTINGS_FAULT, True),
        ("FATAL", 0, True),
        ("STARTING", 3, False),  # the code of an earlier end
        ("RUNNING", SETTINGS_FAULT, False),
        ("BACKOFF", 3, False),
        ("STOPPED", 0, False),
    ],
)
def test_only_what_the_supervisor_leaves_ended_has_given_up(
    state: str, code: int, given_up: bool
) -> None:
    assert has_given_up({"statename": state, "exitstatus": code}) is given_up


def test_a_killed_process_never_ends_the_stack(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    with Stack(settings, log_dir=tmp_path / "log", only=("redis-cache",)) as stack:
        pid = _next(stack, 0)
        for _ in range(20):
            os.kill(pid, signal.SIGKILL)
            pid = _next(stack, pid)


# `make run` with the servers alone: they write as all processes do, and start within a second.
_SERVERS_ALONE = (
    "import functools\n"
    "from stack import __main__ as command\n"
    "servers = ('redis', 'redis-cache', 'qdrant')\n"
    "command.Stack = functools.partial(command.Stack, only=servers)\n"
    "command.main()\n"
)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], Path]]]:
    """Starts the servers' stack as a process; returns once they serve, with its output's file."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(path: str = os.defpath) -> tuple[subprocess.Popen[bytes], Path]:
        file = tmp_path / "output"
        with file.open("w") as output:
            begun.append(
                subprocess.Popen(
                    [sys.executable, "-c", _SERVERS_ALONE],
                    cwd=tmp_path,
                    env={"PATH": path, "PYTHONPATH": str(ROOT), "DATA_DIR": "data"},
                    stdout=output,
                    stderr=output,
                )
            )
        deadline = time.monotonic() + 60
        while '"process": "qdrant"}' not in (said := file.read_text()):
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        return begun[-1], file

    yield start
    for stack in begun:
        stack.terminate()
        stack.wait(60)


@pytest.mark.parametrize("killed", ["leader", "supervisor"])
def test_a_kill_leaves_no_process_of_the_stack(begin: Callable[..., Any], killed: str) -> None:
    stack, _ = begin()
    tree = process_tree(stack.pid)
    assert len(tree) == 6, "leader, remover, supervisor and three servers"
    supervisor = next(process for process in tree if b"supervisord" in process.command)
    os.kill(stack.pid if killed == "leader" else supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not any(process.is_alive() for process in tree), lambda: tree)


def test_without_setpriv_the_stack_runs_and_says_that_a_kill_leaves_processes(
    begin: Callable[..., Any], tmp_path: Path
) -> None:
    _, output = begin(path=str(tmp_path))
    assert "there is no `setpriv --pdeathsig` (util-linux) here" in output.read_text()


def _next(stack: Stack, pid: int) -> int:
    """The process's number once it is another; meanwhile the stack is asked without a pause."""
    deadline = time.monotonic() + 60
    while True:
        stack.check()
        for process in stack.processes():
            if process["pid"] not in (0, pid):
                return int(process["pid"])
        assert time.monotonic() < deadline


def _content(folder: Path) -> Mapping[Path, Any]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def test_a_second_stack_touches_nothing_of_a_running_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "_PREDECESSOR_SECONDS", 0.0)
    held = DataDir(tmp_path)
    held.take()
    held.announce({"redis_url": "redis://127.0.0.1:1/0"})
    for name in ("metrics/counter_1.db", "run/supervisord.conf", "redis/a.aof", "qdrant/wal"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("of the running stack")
    before = _content(tmp_path)
    with pytest.raises(StackError, match=r"DATA_DIR .*API_PORT") as refused:
        Stack(Settings(_env_file=None, data_dir=tmp_path), log_dir=tmp_path / "log").start()
    assert str(tmp_path) in str(refused.value)
    assert _content(tmp_path) == before
    held.release()


def test_a_port_in_use_is_told_in_one_line_before_anything_starts(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = _make_run(tmp_path, DATA_DIR=str(data_dir), API_PORT=str(port))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        f"vitrine: port {port} is in use on 127.0.0.1; stop what listens there, or choose "
        "another port with API_PORT\n"
    )
    assert {path.name for path in data_dir.rglob("*")} == {"run", "lock"}
    DataDir(data_dir).take()  # given up again


def test_an_address_of_another_machine_is_told_by_its_setting(tmp_path: Path) -> None:
    ran = _make_run(
        tmp_path, DATA_DIR=str(tmp_path / "data"), API_HOST="192.0.2.1", API_KEYS_FILE="keys"
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "API_HOST=192.0.2.1" in ran.stderr


@pytest.mark.parametrize(
    ("host", "warnings"),
    [("0.0.0.0", 1), ("192.0.2.1", 1), ("::", 1), ("127.0.0.1", 0), ("::1", 0)],
)
def test_an_api_within_reach_of_others_is_warned_of_slow_clients_once(
    tmp_path: Path, host: str, warnings: int
) -> None:
    ran = _make_run(tmp_path, DATA_DIR="/proc/nowhere", API_HOST=host, API_KEYS_FILE="keys")
    assert ran.returncode == 1
    assert ran.stdout.count("deploy/nginx.conf") == warnings


def test_a_file_that_the_output_goes_to_keeps_every_line_of_every_process(
    begin: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("API_PROT=8000\n")  # so that there is a warning to begin with
    stack, output = begin()
    before = output.read_text()
    stack.terminate()
    stack.wait(60)
    after = output.read_text()
    assert before.startswith("vitrine: .env: API_PROT is no setting")
    starting = "\nvitrine: starting redis, redis-cache, qdrant with CLIP_MODEL=ViT-B-32 on the data"
    assert f"{starting} in {tmp_path / 'data'}; their logs follow here" in before
    assert after.startswith(before)  # what the leader says at the end lies over nobody's lines
    assert after.count("\nvitrine: stopping;") == 1


def _make_run(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """What `make run` runs, in a folder without a `.env`; it must end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "stack"],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
