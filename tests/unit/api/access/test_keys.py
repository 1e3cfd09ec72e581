"""The file of keys: made, listed, revoked, by any Python and by several at once."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.access.keys import Key, KeysFileError, add_key, main, parse_keys, revoke_key

ROOT = Path(__file__).parents[4]
DIGEST = hashlib.sha256(b"key").hexdigest()


def held(file: Path) -> list[Key]:
    return list(parse_keys(file.read_text(), file))


def test_lines_comments_and_several_keys_of_a_tenant() -> None:
    keys = parse_keys(f"# shops\n\n one:{DIGEST}  # first\none:{'0' * 64}\nb-2:{'1' * 64}\n", "f")
    assert [key.tenant for key in keys] == ["one", "one", "b-2"]
    assert keys[0] == Key("one", DIGEST)


def test_a_line_may_have_a_name_and_a_date() -> None:
    (key,) = parse_keys(f"one:{DIGEST} created=2026-11-27 name=web.shop@1\r\n", "f")
    assert key == Key("one", DIGEST, "web.shop@1", "2026-11-27")


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
        f"one:{DIGEST} name",
        f"one:{DIGEST} name=",
        f"one:{DIGEST} name=a name=b",
        f"one:{DIGEST} name=-a",
        f"one:{DIGEST} name={'x' * 81}",
        f"one:{DIGEST} name=a\x1b[2J",
        f"one:{DIGEST} name=é",
        f"one:{DIGEST} created=yesterday",
        # A version that doesn't know what it takes away must not let the key do everything.
        f"one:{DIGEST} rights=search",
    ],
)
def test_a_line_that_is_no_key_is_named(line: str) -> None:
    with pytest.raises(KeysFileError, match=r"API_KEYS_FILE f, line 2:"):
        parse_keys(f"#\n{line}\n", "f")


def test_a_name_stands_in_the_file_once() -> None:
    with pytest.raises(KeysFileError, match=r"line 2: a key called a stands above"):
        parse_keys(f"one:{DIGEST} name=a\ntwo:{'0' * 64} name=a\n", "f")


def test_a_made_key_is_named_dated_and_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "deploy" / "api-keys"
    key = add_key(file, "one", name="web-shop")
    others = [add_key(file, tenant) for tenant in ("two", "two", "-")]
    assert len({key, *others}) == 4
    assert len(key) >= 43
    assert key not in file.read_text()
    assert [(each.tenant, each.name) for each in held(file)] == [
        ("one", "web-shop"),
        ("two", "two"),
        ("two", "two-2"),
        ("-", "key"),
    ]
    assert held(file)[0].digest == hashlib.sha256(key.encode()).hexdigest()
    today = datetime.now(UTC).date()
    assert abs((datetime.fromisoformat(held(file)[0].created).date() - today).days) <= 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["api-keys"]


@pytest.mark.parametrize("name", ["a b", "a\n", "a\x1b", "a=b", "a#b", "a:b", "é", "x" * 81, "."])
def test_a_name_that_could_spoil_the_file_or_a_terminal_is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(KeysFileError, match="1 to 80"):
        add_key(tmp_path / "keys", "one", name=name)
    assert not (tmp_path / "keys").exists()


def test_a_taken_name_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_key(file, "one", name="web")
    before = file.read_text()
    with pytest.raises(KeysFileError, match="there is a key called web"):
        add_key(file, "two", name="web")
    assert file.read_text() == before


def test_a_file_without_a_last_newline_is_not_spoiled(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"one:{DIGEST}")
    add_key(file, "two")
    assert [key.tenant for key in held(file)] == ["one", "two"]


def test_revoking_takes_the_key_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    kept = f"# of the shop\u2028\n\nold:{'0' * 64}\n"
    file.write_text(f"{kept}# next\none:{DIGEST} name=web # a\ntwo:{DIGEST}\n")
    assert revoke_key(file, "web") == Key("one", DIGEST, "web")
    # The same key under another name would go on working.
    assert file.read_text() == f"{kept}# next\n"
    (old,) = held(file)
    assert old.called == "sha256:0000000000000000"
    revoke_key(file, old.called)
    assert held(file) == []
    with pytest.raises(KeysFileError, match="no key called 'web'"):
        revoke_key(file, "web")


def test_a_change_keeps_owner_and_rights_but_none_for_others(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_key(file, "one", name="a")
    owner = (10001, 10002) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(file, *owner)
    for mode, then in ((0o600, 0o600), (0o640, 0o640), (0o664, 0o640)):
        file.chmod(mode)
        add_key(file, "one")
        found = file.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*owner, then)
    revoke_key(file, "a")
    assert (file.stat().st_uid, file.stat().st_gid) == owner


def test_a_file_that_anybody_may_write_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "keys"
    add_key(file, "one")
    file.chmod(0o602)
    with pytest.raises(KeysFileError, match=r"may write to it.*chmod 600"):
        add_key(file, "one")
    file.chmod(0o600)
    file.parent.chmod(0o707)
    with pytest.raises(KeysFileError, match="another file in its place"):
        add_key(file, "one")
    file.parent.chmod(0o1707)  # as /tmp: others can't replace what isn't theirs
    add_key(file, "one")


def test_several_commands_at_once_lose_no_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_key(file, "gone", name="gone")
    code = (
        "import sys; from pathlib import Path; from api.access.keys import add_key\n"
        "print(*(add_key(Path(sys.argv[1]), 'one') for _ in range(10)))"
    )
    adding = [
        subprocess.Popen(
            [sys.executable, "-c", code, file], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    revoke_key(file, "gone")
    made = [key for each in adding for key in each.communicate(timeout=60)[0].split()]
    assert len(made) == 40
    digests = {hashlib.sha256(key.encode()).hexdigest() for key in made}
    assert {key.digest for key in held(file)} == digests


def test_the_commands_make_list_and_revoke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"old:{'0' * 64}\n")
    file.chmod(0o600)
    main(["add", "--tenant", "one", "--name", "web", "--file", str(file)])
    said = capsys.readouterr()
    assert held(file)[1].digest == hashlib.sha256(said.out.strip().encode()).hexdigest()
    assert "the key web of tenant one" in said.err
    assert "shown this once" in said.err
    assert f"API_KEYS_FILE={file}" in said.err
    main(["list", "--file", str(file)])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["NAME", "TENANT", "CREATED"],
        ["sha256:0000000000000000", "old", "-"],
        ["web", "one", held(file)[1].created],
    ]
    main(["revoke", "--name", "web", "--file", str(file)])
    assert [key.tenant for key in held(file)] == ["old"]
    for wrong in (
        ["add", "--tenant", "NO!", "--file", str(file)],
        ["revoke", "--name", "", "--file", str(file)],
        ["list", "--file", str(tmp_path / "none")],
    ):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert str(ended.value).startswith("vitrine: "), ended.value


def test_root_gives_the_file_to_those_that_the_service_runs_as(tmp_path: Path) -> None:
    # Who is not root can give it to nobody else.
    owner = (10001, 10002) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    file = tmp_path / "keys"
    arguments = ["add", "--file", str(file), "--owner", f"{owner[0]}:{owner[1]}"]
    for _ in range(2):
        main(arguments)
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*owner, 0o600)
    with pytest.raises(SystemExit):
        main([*arguments[:-1], "shop:shop"])


def test_no_other_file_is_given_away_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    (tmp_path / "keys").symlink_to(tmp_path / "other")
    with pytest.raises(KeysFileError, match="symbolic link"):
        add_key(tmp_path / "keys", "one", owner=(os.getuid(), os.getgid()))
    assert (tmp_path / "other").read_text() == ""
    add_key(tmp_path / "keys", "one")  # who isn't root only reaches what is theirs
    assert (tmp_path / "keys").is_symlink()
    assert len(held(tmp_path / "other")) == 1


def test_any_python_runs_it_without_a_package(tmp_path: Path) -> None:
    """Those that are here; python3 always is. From 3.9 on."""
    found = [shutil.which(f"python3{minor}", path=os.defpath) for minor in ("", ".9", ".12", ".13")]
    pythons = {python for python in found if python} or {sys.executable}
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from api.access.keys import main\n"
        f"main(['add', '--file', {str(tmp_path / 'keys')!r}])\n"
        "assert not {'flask', 'click', 'structlog', 'pydantic'} & set(sys.modules)"
    )
    for python in pythons:
        made = subprocess.run(
            [python, "-I", "-S", "-B", "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()
        digest = hashlib.sha256(made.encode()).hexdigest()
        assert held(tmp_path / "keys")[-1].digest == digest
