"""Keys: made, kept as digests, looked up."""

import hashlib
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.auth import OpenToTheNetwork, key_ring
from api.keys import KeyRing, KeysFileError, add_key, main, parse_keys
from shared.settings import Settings

DIGEST = hashlib.sha256(b"key").hexdigest()


def test_lines_comments_and_several_keys_of_a_tenant() -> None:
    keys = parse_keys(f"# shops\n\n one:{DIGEST}  # first\none:{'0' * 64}\nb-2:{'1' * 64}\n", "f")
    assert [key.tenant for key in keys] == ["one", "one", "b-2"]
    assert keys[0].digest == DIGEST


@pytest.mark.parametrize(
    "line",
    [
        "one",
        "one:",
        f":{DIGEST}",
        f"One:{DIGEST}",
        f"a_b:{DIGEST}",
        f"{'x' * 65}:{DIGEST}",
        "a:key",
    ],
)
def test_a_line_that_is_no_key_is_named(line: str) -> None:
    with pytest.raises(KeysFileError, match=r"API_KEYS_FILE f, line 2:"):
        parse_keys(f"#\n{line}\n", "f")


def test_a_made_key_opens_its_tenant_and_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "deploy" / "api-keys"
    key, other = add_key(file, "one"), add_key(file, "two")
    assert len(key) >= 43
    text = file.read_text()
    assert key not in text
    assert text.count("\n") == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    ring = KeyRing(file)
    assert (ring.tenant(key), ring.tenant(other)) == ("one", "two")
    for wrong in ("", key[:-1], key.upper(), hashlib.sha256(key.encode()).hexdigest(), "é"):
        assert ring.tenant(wrong) is None


def test_a_file_without_a_last_newline_is_not_spoiled(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"one:{DIGEST}")
    key = add_key(file, "two")
    assert (KeyRing(file).tenant("key"), KeyRing(file).tenant(key)) == ("one", "two")


def test_the_command_prints_the_key_once(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    result = CliRunner().invoke(main, ["add", "--tenant", "one", "--file", str(file)])
    assert result.exit_code == 0
    assert KeyRing(file).tenant(result.stdout.removesuffix("\n")) == "one"
    assert "shown this once" in result.stderr
    assert f"API_KEYS_FILE={file}" in result.stderr
    refused = CliRunner().invoke(main, ["add", "--tenant", "NO!", "--file", str(file)])
    assert refused.exit_code == 1
    assert "NO!" in refused.output


def test_root_gives_the_file_to_those_that_the_service_runs_as(tmp_path: Path) -> None:
    # Who is not root can give it to nobody else.
    owner = (10001, 10002) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    file = tmp_path / "keys"
    arguments = ["add", "--file", str(file), "--owner", f"{owner[0]}:{owner[1]}"]
    for _ in range(2):
        assert CliRunner().invoke(main, arguments).exit_code == 0
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*owner, 0o600)
    assert CliRunner().invoke(main, [*arguments[:-1], "shop:shop"]).exit_code == 2


def test_no_other_file_is_given_away_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    (tmp_path / "keys").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        add_key(tmp_path / "keys", "one", owner=(os.getuid(), os.getgid()))
    assert (tmp_path / "other").read_text() == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert key_ring(Settings(_env_file=None, api_host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", ""])
def test_the_network_needs_keys(host: str) -> None:
    with pytest.raises(OpenToTheNetwork, match=r"API_HOST.*API_KEYS_FILE"):
        key_ring(Settings(_env_file=None, api_host=host))
