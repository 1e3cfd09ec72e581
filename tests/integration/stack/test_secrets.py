"""Who can get at the embedded servers and their data: the account that runs them, nobody else."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from operations.servers import running_servers
from shared.settings import Settings
from stack.data_dir import DataDir
from stack.run import ROOT, Stack
from tests.waiting import wait_until

_SERVERS = ("redis", "redis-cache", "qdrant")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data_dir = tmp_path_factory.mktemp("secrets") / "var"
    settings = Settings(_env_file=None, data_dir=data_dir, qdrant_api_key="of-another-server")
    logs = data_dir.parent / "log"
    with Stack(settings, log_dir=logs, only=_SERVERS) as running:
        _wait(running)
        yield running


def _wait(stack: Stack) -> None:
    deadline = time.monotonic() + 60
    while True:
        stack.check()
        try:
            assert httpx.get(_qdrant(stack) + "/readyz", trust_env=False).status_code == 200
            for name in ("redis_url", "redis_cache_url"):
                redis.Redis.from_url(stack.addresses[name]).ping()
        except (httpx.HTTPError, redis.ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def _qdrant(stack: Stack) -> str:
    return stack.addresses["qdrant_url"]


@pytest.mark.parametrize("name", ["redis_url", "redis_cache_url"])
def test_redis_answers_to_its_password_alone(stack: Stack, name: str) -> None:
    open_url = "redis://" + stack.addresses[name].partition("@")[2]
    for url in (open_url, open_url.replace("://", "://:guess@")):
        with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(url) as client:
            client.ping()
    with redis.Redis.from_url(stack.addresses[name]) as client:
        assert client.ping()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"api-key": ""},
        {"api-key": "guess"},
        {"api-key": "of-another-server"},
        {"api-key": "gu\u00e9ss".encode("latin-1").decode("latin-1")},
        {"Authorization": "Bearer guess"},
        {"Authorization": "guess"},
    ],
)
def test_qdrant_answers_to_its_key_alone(stack: Stack, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    for method, path in (("GET", "/collections"), ("DELETE", "/collections/products")):
        answer = httpx.request(method, _qdrant(stack) + path, headers=raw, trust_env=False)
        assert answer.status_code == 401, answer.text
        assert stack.addresses["qdrant_api_key"] not in answer.text


def test_qdrant_takes_the_key_in_both_of_qdrants_headers(stack: Stack) -> None:
    key = stack.addresses["qdrant_api_key"]
    for headers in ({"api-key": key}, {"Authorization": f"Bearer {key}"}):
        answer = httpx.get(_qdrant(stack) + "/collections", headers=headers, trust_env=False)
        assert answer.status_code == 200
    assert httpx.get(_qdrant(stack) + "/readyz", trust_env=False).status_code == 200


def test_no_secret_stands_in_a_command_line_or_a_log(stack: Stack) -> None:
    secret = stack.addresses["qdrant_api_key"]
    pids = [process["pid"] for process in stack.processes()]
    assert len(pids) == len(_SERVERS)
    for pid in (*pids, stack._supervisor.pid):  # type: ignore[union-attr]
        assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    logs = stack.data_dir.parent / "log"
    for path in (*logs.iterdir(), stack.data_dir / "run" / "supervisord.conf"):
        assert secret not in path.read_text()


def test_each_start_has_a_secret_of_its_own(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    first, second = (Stack(settings).addresses["qdrant_api_key"] for _ in range(2))
    assert first != second
    assert len(first) >= 32


def test_nobody_else_can_read_what_the_stack_writes(stack: Stack) -> None:
    with redis.Redis.from_url(stack.addresses["redis_url"]) as client:
        client.set("a", "b")
    assert stat.S_IMODE(stack.data_dir.stat().st_mode) == 0o700
    for path in (*stack.data_dir.rglob("*"), *(stack.data_dir.parent / "log").iterdir()):
        assert not path.stat().st_mode & 0o077 or path.parent.name == "run", path
    for folder in (stack.data_dir / "run", stack.runtime_dir, stack.runtime_dir / "metrics"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((stack.data_dir / "run" / "servers.json").stat().st_mode) == 0o600


def test_commands_find_the_running_servers_and_their_secrets(stack: Stack) -> None:
    settings = Settings(_env_file=None, data_dir=stack.data_dir)
    with running_servers(settings) as found:
        assert (found.redis_url, found.qdrant_url, found.qdrant_api_key) == (
            stack.addresses["redis_url"],
            stack.addresses["qdrant_url"],
            stack.addresses["qdrant_api_key"],
        )


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "shared with others"])
def test_a_directory_that_was_left_open_is_tightened_where_it_is_ours(
    tmp_path: Path, ours: bool
) -> None:
    tmp_path.chmod(0o755)
    for name in ("run", "redis", "qdrant", *(() if ours else ("of-somebody",))):
        (tmp_path / name).mkdir(mode=0o755)
    held = DataDir(tmp_path)
    held.take()
    held.release()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {modes.pop(name) for name in ("run", "redis", "qdrant")} == {0o700}
    assert set(modes.values()) <= {0o755}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == (0o700 if ours else 0o755)


def test_the_metrics_of_a_stack_end_with_it_also_where_it_was_killed(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    with Stack(settings, log_dir=tmp_path / "log", only=("redis-cache",)) as stopped:
        assert (stopped.runtime_dir / "metrics").is_dir()
    assert not stopped.runtime_dir.exists()

    code = (
        "import os, sys; from pathlib import Path; from stack.run import Stack\n"
        "from shared.settings import Settings\n"
        "stack = Stack(Settings(_env_file=None, data_dir=Path(sys.argv[1])), only=('redis-cache',),"
        " log_dir=Path(sys.argv[1]) / 'log')\n"
        "stack.start(); print(stack.runtime_dir, flush=True); os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    wait_until(lambda: not Path(ran.stdout.strip()).exists())


def test_where_memory_has_no_room_the_metrics_lie_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.run._METRICS_BYTES", 2**62)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    stack = Stack(settings, log_dir=tmp_path / "log", only=())
    assert not stack.metrics_in_memory
    assert stack.environ["PROMETHEUS_MULTIPROC_DIR"] == str(tmp_path / "metrics")


def test_ready_means_that_this_very_worker_takes_up_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.ready_marks import mark_ready  # noqa: PLC0415

    settings = Settings(_env_file=None, data_dir=tmp_path)
    stack = Stack(settings, log_dir=tmp_path / "log", only=("api", "worker"))
    folder = tmp_path / "metrics"
    folder.mkdir()
    stack._metrics_dir = folder
    running: list[dict[str, Any]] = []
    monkeypatch.setattr(stack, "processes", lambda: running)
    assert not stack._workers_are_ready(), "it isn't even started"
    running.append({"name": "worker", "pid": os.getpid()})
    assert not stack._workers_are_ready()
    mark_ready(folder, "worker")
    assert stack._workers_are_ready()
    running[0]["pid"] += 1
    assert not stack._workers_are_ready(), "an earlier worker said so"
