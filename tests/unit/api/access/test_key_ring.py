"""The keys that a running API knows: at once, none that is revoked, and never none by a slip."""

import hashlib
from pathlib import Path

import pytest

from api.access.auth import key_ring
from api.access.key_ring import KeyRing
from api.access.keys import KeysFileError, add_key, revoke_key
from shared.loopback import OpenToTheNetwork
from shared.settings import Settings


def test_a_key_opens_its_tenant_and_nothing_near_it_does(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key, other = add_key(file, "one"), add_key(file, "two")
    ring = KeyRing(file)
    assert (ring.tenant(key), ring.tenant(other)) == ("one", "two")
    for wrong in ("", key[:-1], key.upper(), hashlib.sha256(key.encode()).hexdigest(), "é"):
        assert ring.tenant(wrong) is None


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# keys\none:{hashlib.sha256(b'old').hexdigest()}")
    new = add_key(file, "two")
    assert (KeyRing(file).tenant("old"), KeyRing(file).tenant(new)) == ("one", "two")


def test_a_new_key_works_and_a_revoked_one_fails_from_the_next_request_on(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_key(file, "one")
    ring = KeyRing(file)
    for number in range(20):
        key = add_key(file, "two", name=f"n{number}")
        assert ring.tenant(key) == "two"
        revoke_key(file, f"n{number}")
        assert ring.tenant(key) is None


def test_a_slip_in_the_file_locks_nobody_out(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = add_key(file, "one")
    good = file.read_text()
    ring = KeyRing(file)
    file.write_text("not a key\n")
    assert ring.tenant(key) == "one"
    file.unlink()
    assert ring.tenant(key) == "one"
    file.write_text(good)
    file.chmod(0o606)
    other = add_key(tmp_path / "other", "two")
    with file.open("a") as added:
        added.write((tmp_path / "other").read_text())
    assert (ring.tenant(key), ring.tenant(other)) == ("one", None), "anybody may have written it"
    file.chmod(0o600)
    assert ring.tenant(other) == "two"


def test_a_file_that_others_may_read_is_told_and_one_they_may_write_to_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys"
    add_key(file, "one")
    ring = KeyRing(file)
    for mode, told in ((0o600, False), (0o440, False), (0o644, True), (0o620, True)):
        file.chmod(mode)
        exposure = ring.exposure()
        assert (exposure is not None) == told, oct(mode)
        assert not told or f"mode {mode:04o}" in str(exposure)
    file.chmod(0o666)
    with pytest.raises(KeysFileError, match="may write to it"):
        KeyRing(file)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert key_ring(Settings(_env_file=None, api_host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", ""])
def test_the_network_needs_keys(host: str) -> None:
    with pytest.raises(OpenToTheNetwork, match=r"API_HOST.*API_KEYS_FILE"):
        key_ring(Settings(_env_file=None, api_host=host))
