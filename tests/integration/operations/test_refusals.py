"""What is refused, with which exit code, and that nothing is left of it."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from operations.archive import ArchiveReader
from operations.backup import back_up
from operations.faults import ExitCode, OperationFault
from operations.restore import restore
from shared.embedded.data_dir import DataDir
from shared.embedded.stack import ROOT
from shared.ledger import LedgerSnapshot, connect
from shared.qdrant.transfer import PointTransfer
from tests.integration.operations.conftest import MODEL, Site


@pytest.fixture
def backup(site: Site, tmp_path: Path) -> Path:
    for number in range(30):
        site.put(f"p{number}")
    site.work()
    file = tmp_path / "backup.zip"
    back_up(file, site.points, site.snapshot, MODEL)
    return file


def refused(file: Path, target: Site, *, force: bool = False) -> OperationFault:
    with pytest.raises(OperationFault) as caught:
        restore(ArchiveReader(file), target.target, force=force)
    return caught.value


def command(*arguments: str, limit: int | None = None, **settings: str) -> tuple[int, str]:
    """Exit code and stderr. `limit`: bytes that a file may have."""

    def bounded() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ran = subprocess.run(
        [sys.executable, "-m", "operations", *arguments],
        cwd=ROOT,
        env={"PATH": os.defpath, "CLIP_MODEL": "demo", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=bounded,
    )
    return ran.returncode, ran.stderr


def flipped(data: bytes) -> bytes:
    at = len(data) // 3
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"something else"],
    ids=["a bit", "cut short", "empty", "no backup"],
)
def test_a_damaged_file_is_refused_before_anything_is_written(
    backup: Path, other: Site, damage: Callable[[bytes], bytes]
) -> None:
    backup.write_bytes(damage(backup.read_bytes()))
    fault = refused(backup, other)
    assert fault.code == ExitCode.DATA
    assert "damaged or was cut short" in fault.message
    assert other.points.count() == 0
    assert other.rows.is_empty()


def test_a_target_that_holds_something_is_refused_and_says_how_to_go_on(
    backup: Path, site: Site, other: Site
) -> None:
    fault = refused(backup, site)
    assert (fault.code, "30 points" in fault.message) == (ExitCode.CANT_CREATE, True)
    assert "FORCE=1" in fault.message
    other.put("waiting")
    assert "a ledger with products" in refused(backup, other).message
    restore(ArchiveReader(backup), other.target, force=True)
    assert other.points.count() == 30


def test_a_backup_of_another_model_is_refused_even_by_force(backup: Path, other: Site) -> None:
    other.points = PointTransfer("http://127.0.0.1:1", "products-other-model")
    fault = refused(backup, other, force=True)
    assert fault.code == ExitCode.SETTINGS
    assert "CLIP_MODEL=demo" in fault.message
    other.points.close()


def test_an_existing_file_is_not_written_over(backup: Path, site: Site) -> None:
    held = backup.read_bytes()
    with pytest.raises(OperationFault) as caught:
        back_up(backup, site.points, site.snapshot, MODEL)
    assert caught.value.code == ExitCode.CANT_CREATE
    assert backup.read_bytes() == held


def test_nothing_to_back_up_is_said_and_leaves_no_file(site: Site, tmp_path: Path) -> None:
    with pytest.raises(OperationFault) as caught:
        back_up(tmp_path / "b.zip", site.points, LedgerSnapshot(site.redis), MODEL)
    assert caught.value.code == ExitCode.NO_INPUT
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_the_file_nothing_is_left_of_it(
    servers: list[tuple[object, object]], site: Site, tmp_path: Path
) -> None:
    # The command's collection is the demo model's: only the ledger has something to say here.
    for number in range(2000):
        site.redis.hset(f"vitrine:row:shop:p{number}", mapping={"rev": number, "state": "live"})
    addresses = {"REDIS_URL": _url(site), "QDRANT_URL": servers[0][0].url}  # type: ignore[attr-defined]
    code, said = command("backup", str(tmp_path / "b.zip"), limit=8192, **addresses)
    assert code == ExitCode.CANT_CREATE, said
    assert "make room" in said
    assert list(tmp_path.iterdir()) == []
    code, said = command("backup", str(tmp_path / "b.zip"), **addresses)
    assert code == 0, said
    assert (tmp_path / "b.zip").stat().st_mode & 0o777 == 0o600


def test_a_server_that_does_not_answer_is_named_by_its_setting(tmp_path: Path, site: Site) -> None:
    nobody = "127.0.0.1:1"
    settings = {"REDIS_URL": _url(site), "QDRANT_URL": f"http://{nobody}"}
    code, said = command("backup", str(tmp_path / "b.zip"), **settings)
    assert (code, "QDRANT_URL" in said) == (ExitCode.UNAVAILABLE, True), said
    assert "Traceback" not in said
    client = connect(f"redis://{nobody}/0")
    with pytest.raises(Exception, match="does not answer"):
        list(LedgerSnapshot(client).records())


def test_without_a_file_or_with_a_wrong_one_the_command_says_so(tmp_path: Path) -> None:
    code, said = command("restore")
    assert (code, "FILE" in said) == (2, True)
    urls = {"REDIS_URL": "redis://127.0.0.1:1/0", "QDRANT_URL": "http://127.0.0.1:1"}
    code, said = command("restore", str(tmp_path / "none.zip"), **urls)
    assert (code, "there is no file" in said) == (ExitCode.NO_INPUT, True)


def test_data_that_another_process_works_on_is_left_alone(tmp_path: Path) -> None:
    holder = DataDir(tmp_path)
    holder.take()
    code, said = command("rebuild-ledger", DATA_DIR=str(tmp_path))
    holder.release()
    assert (code, "another process runs servers" in said) == (ExitCode.UNAVAILABLE, True)


def _url(site: Site) -> str:
    given = site.redis.connection_pool.connection_kwargs
    return f"redis://{given['host']}:{given['port']}/{given['db']}"
