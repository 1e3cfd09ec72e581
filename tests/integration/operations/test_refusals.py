"""What is refused, with which exit code, and that nothing is left of it."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from operations.__main__ import main
from operations.archive import ArchiveReader
from operations.backup import back_up
from operations.faults import ExitCode, OperationFault
from operations.restore import restore
from operations.servers import check_disk_space
from shared.ledger import LedgerSnapshot
from shared.qdrant.recovery.transfer import PointTransfer
from stack.data_dir import DataDir
from stack.run import ROOT
from tests.integration.operations.conftest import MODEL, Site
from tests.servers import EmbeddedQdrantProcess, RedisServer


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


@dataclass
class Operations:
    """The commands, run in this process; `settings` are all that is set."""

    settings: Mapping[str, str]

    def __call__(self, *arguments: str, **more: str) -> tuple[int, str]:
        """Exit code and stderr."""
        environ = {"CLIP_MODEL": "demo", **self.settings, **more}
        ran = CliRunner(env=environ).invoke(main, arguments)
        return ran.exit_code, ran.stderr


@pytest.fixture
def command(
    qdrant_server: EmbeddedQdrantProcess,
    ledger_server: RedisServer,
    site: Site,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Operations:
    # Where no .env lies.
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert site.rows.is_empty()
    return Operations({"REDIS_URL": ledger_server.url, "QDRANT_URL": qdrant_server.url})


def bounded_backup(file: Path, most_bytes: int, settings: Mapping[str, str]) -> tuple[int, str]:
    """The command in a process of its own whose files may have so many bytes."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}));"
        "from operations.__main__ import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "backup", str(file)],
        cwd=ROOT,
        # Or compiled modules would be cut short, too, and stay so.
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "CLIP_MODEL": "demo", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stderr


def flipped(data: bytes, at: int | None = None) -> bytes:
    at = len(data) // 3 if at is None else at
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda data: flipped(data, 200),
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda _: b"something else",
    ],
    ids=["a bit", "a bit of what is restored last", "cut short", "empty", "no backup"],
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


def test_a_backup_without_the_models_products_is_refused(
    site: Site, qdrant_server: EmbeddedQdrantProcess, tmp_path: Path
) -> None:
    """The service was started with CLIP_MODEL=…, the backup without."""
    site.put("p1")
    site.work()
    unset = PointTransfer(qdrant_server.url, "products-unset-model")
    served = site.points.collection
    with pytest.raises(OperationFault) as caught:
        back_up(tmp_path / "b.zip", unset, site.snapshot, MODEL)
    unset.close()
    assert caught.value.code == ExitCode.SETTINGS
    assert served in caught.value.message
    assert "CLIP_MODEL" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_an_empty_catalogue_with_another_model_is_refused(
    site: Site, qdrant_server: EmbeddedQdrantProcess, tmp_path: Path
) -> None:
    site.put("p1")  # no worker has landed it yet
    unset = PointTransfer(qdrant_server.url, "products-unset-model")
    with pytest.raises(OperationFault) as caught:
        back_up(tmp_path / "b.zip", unset, site.snapshot, MODEL)
    unset.close()
    assert caught.value.code == ExitCode.SETTINGS
    assert site.points.collection in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_the_file_nothing_is_left_of_it(
    command: Operations, site: Site, tmp_path: Path
) -> None:
    # The command's collection is the demo model's: only the ledger has something to say here.
    assert command("upgrade-index")[0] == 0  # makes that collection
    for number in range(2000):
        site.redis.hset(f"vitrine:row:shop:p{number}", mapping={"rev": number, "state": "live"})
    file = tmp_path / "b.zip"
    code, said = bounded_backup(file, 8192, command.settings)
    assert code == ExitCode.CANT_CREATE, said
    assert "make room" in said
    assert list(tmp_path.iterdir()) == []
    code, said = command("backup", str(file))
    assert code == 0, said
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_disk_too_small_for_what_is_restored_is_told_beforehand(tmp_path: Path) -> None:
    check_disk_space(tmp_path, 1)
    with pytest.raises(OperationFault, match="DATA_DIR") as caught:
        check_disk_space(tmp_path, 10**18)
    assert caught.value.code == ExitCode.CANT_CREATE


def test_a_server_that_does_not_answer_is_named_by_its_setting(
    command: Operations, tmp_path: Path
) -> None:
    for setting, url in (
        ("QDRANT_URL", "http://127.0.0.1:1"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
    ):
        code, said = command("backup", str(tmp_path / "b.zip"), **{setting: url})
        assert (code, setting in said) == (ExitCode.UNAVAILABLE, True), said
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_or_with_a_wrong_one_the_command_says_so(
    command: Operations, tmp_path: Path
) -> None:
    code, said = command("restore")
    assert (code, said) == (
        ExitCode.NO_INPUT,
        "vitrine: name the backup to restore: make restore FILE=backups/….zip\n",
    )
    code, said = command("quantize")
    assert (code, "PICTURES=" in said) == (ExitCode.NO_INPUT, True)
    code, said = command("restore", str(tmp_path / "none.zip"))
    assert (code, "there is no file" in said) == (ExitCode.NO_INPUT, True)


def test_an_index_without_points_rebuilds_nothing(command: Operations) -> None:
    code, said = command("rebuild-ledger")
    assert (code, "restore a backup" in said) == (ExitCode.NO_INPUT, True)


def test_a_wrong_setting_is_named(command: Operations) -> None:
    code, said = command("rebuild-ledger", LEASE_SECONDS="soon")
    assert (code, said) == (
        ExitCode.SETTINGS,
        "vitrine: LEASE_SECONDS=soon: must be a number\n",
    )


def test_data_that_another_process_works_on_is_left_alone(
    command: Operations, tmp_path: Path
) -> None:
    holder = DataDir(tmp_path)
    holder.take()
    only_redis = Operations({"REDIS_URL": command.settings["REDIS_URL"]})
    code, said = only_redis("rebuild-ledger", DATA_DIR=str(tmp_path))
    holder.release()
    assert (code, "another process runs servers" in said) == (ExitCode.UNAVAILABLE, True)
