"""`.env.example` lists every setting with its default, and nothing that isn't one."""

import itertools
import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from shared.settings import OF_COMPOSE, Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".env.example").read_text()
OF_SETTINGS, COMPOSE_TEXT = TEXT.split("# --- Only for docker compose ---")
LINE = re.compile(r"^#([A-Z_]+)=(.*)$", re.MULTILINE)
NAMES = [name.upper() for name in Settings.model_fields]


def test_every_setting_is_listed_once_and_in_order() -> None:
    assert [name for name, _ in LINE.findall(OF_SETTINGS)] == NAMES


def test_what_is_listed_for_compose_is_what_compose_asks_for() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", compose))
    assert asked - set(NAMES) == {name for name, _ in LINE.findall(COMPOSE_TEXT)} == OF_COMPOSE
    for name, value in LINE.findall(COMPOSE_TEXT):
        assert f"${{{name}:-{value}}}" in compose


def test_every_setting_has_a_comment() -> None:
    lines = OF_SETTINGS.splitlines()
    for before, line in itertools.pairwise(lines):
        if LINE.match(line):
            assert re.match(r"# \S.*\.$", before), line


@pytest.mark.parametrize(("name", "field"), Settings.model_fields.items())
def test_the_value_shown_is_the_default(
    name: str, field: FieldInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # away from a .env of one's own
    shown = dict(LINE.findall(OF_SETTINGS))[name.upper()]
    monkeypatch.setenv(name.upper(), shown)
    assert getattr(Settings(), name) == field.default
