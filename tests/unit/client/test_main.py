"""The commands of the service's operators beside the client's own."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from vitrine import main as module
from vitrine.faults import ExitCode
from vitrine.main import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if the client were installed without the service."""
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path)
    module._operators.cache_clear()
    monkeypatch.setattr(module, "_operators", module._operators.__wrapped__)


def test_operators_commands_are_there_in_the_services_folder() -> None:
    listed = CliRunner().invoke(main, ["--help"])
    assert "rebuild-ledger" in listed.stdout
    assert "evaluate" in listed.stdout
    helped = CliRunner().invoke(main, ["restore", "--help"])
    assert helped.exit_code == 0
    assert "--force" in helped.stdout


def test_operators_faults_keep_their_exit_codes() -> None:
    ran = CliRunner().invoke(main, ["restore"])
    assert ran.exit_code == 66
    assert "name the backup to restore" in ran.stderr


def test_operators_commands_work_in_the_services_folder_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Elsewhere they would find neither settings nor data, and start empty servers."""
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, ["restore"])
    assert ran.exit_code == ExitCode.USAGE
    assert f"in the folder {ROOT} only" in ran.stderr


@pytest.mark.usefixtures("alone")
def test_installed_alone_the_client_has_its_own_commands() -> None:
    assert "rebuild-ledger" not in CliRunner().invoke(main, ["--help"]).stdout
    assert CliRunner().invoke(main, ["rebuild-ledger"]).exit_code == ExitCode.USAGE


@pytest.mark.parametrize("command", sorted([*main.commands, "jobs list", "jobs show"]))
def test_every_command_and_option_explains_itself(command: str) -> None:
    """Also without a service: no request is made for `--help`."""
    found = main
    for name in command.split():
        found = found.commands[name]  # type: ignore[attr-defined, assignment]
    assert CliRunner().invoke(main, [*command.split(), "--help"]).exit_code == 0
    assert found.help
