"""The embedded Redis servers: one to a directory."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from shared.settings import SETTINGS_FAULT
from stack import redis as command
from stack.ports import free_port
from stack.run import ROOT
from tests.waiting import wait_until

Begin = Callable[[int], "subprocess.Popen[bytes]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a server on the given port; all of them on one directory."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(port: int) -> "subprocess.Popen[bytes]":
        environ = {
            **{"PATH": os.defpath, "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path)},
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        }
        run = [sys.executable, "-m", "stack.redis", "ledger"]
        begun.append(subprocess.Popen(run, cwd=tmp_path, env=environ))
        return begun[-1]

    yield start
    for server in begun:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def wait_for(port: int) -> None:
    wait_until(lambda: answers(port))


def test_a_directory_has_one_server_and_its_successor_waits_for_its_end(
    begin: Begin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ports = free_port(), free_port()
    first = begin(ports[0])
    wait_for(ports[0])

    monkeypatch.setattr(command, "_PREDECESSOR_SECONDS", 0.0)
    with pytest.raises(SystemExit) as refused:
        command._hold(tmp_path / "redis")
    assert refused.value.code == SETTINGS_FAULT
    assert str(tmp_path / "redis") in capsys.readouterr().err

    begin(ports[1])
    time.sleep(1.0)
    assert not answers(ports[1])
    first.kill()
    first.wait()
    wait_for(ports[1])
