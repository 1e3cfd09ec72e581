"""Room on the disk that is kept for a start, and writes that end before it is needed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from stack.reserve import Reserve

MIB = 2**20


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the disk says; `tests/e2e/test_full_disk.py` has a real one."""
    said = SimpleNamespace(free=1000 * MIB)
    monkeypatch.setattr("stack.reserve.shutil.disk_usage", lambda _: said)
    return said


def test_writes_end_while_there_is_room_to_go_on(tmp_path: Path, free: SimpleNamespace) -> None:
    reserve = Reserve(tmp_path)
    for room, body, taken in (
        (1000, 32, True),
        (192, 32, True),
        (191, 32, False),
        (65, 0, True),
        (63, 0, False),
        (0, 0, False),
    ):
        free.free = room * MIB
        assert reserve.has_room(body * MIB) == taken, (room, body)


def test_a_flush_has_the_room_that_writes_leave(tmp_path: Path, free: SimpleNamespace) -> None:
    reserve = Reserve(tmp_path)
    for room, has_room in ((1000, True), (63, True), (16, True), (15, False), (0, False)):
        free.free = room * MIB
        assert reserve.has_room_to_flush() == has_room, room


def test_a_start_on_a_full_disk_gets_the_room_that_was_kept(
    tmp_path: Path, free: SimpleNamespace
) -> None:
    reserve = Reserve(tmp_path)
    reserve.give_up_if_needed()  # there is nothing to give up
    Reserve(tmp_path / "not-there").give_up_if_needed()
    assert reserve.has_room(0)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_blocks * 512 >= 16 * MIB, "a hole takes no room that others could"
    reserve.give_up_if_needed()
    assert kept.exists(), "there is enough"
    free.free = 0
    reserve.give_up_if_needed()
    assert not kept.exists()
    assert not reserve.has_room(0)
    free.free = 1000 * MIB
    assert reserve.has_room(0)
    assert kept.exists()
