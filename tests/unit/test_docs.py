"""The tests, files, sections, targets of make, modules and settings that the docs name exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from shared.settings import OF_COMPOSE, Settings
from vitrine.main import main as client

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
GUARANTEES = ROOT / "docs" / "guarantees.md"
LINK = re.compile(r"(?<!!)\[([^\]\[]+)\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"(?:^|[\s`(])make ((?:[a-z]+-)*[a-z]+)\b")
MODULES = re.compile(r"(?:^|[\s`(/])python3? -m ([a-z_.]+)")
PATHS = re.compile(
    r"(?<![\w/])(?:api|worker|shared|stack|operations|demo|benchmarks|client|deploy|docs|tests)/[\w*./{},-]*"
)
OF_CLIENT = {str(option.envvar) for option in client.params if option.envvar}
SETTINGS = {name.upper() for name in Settings.model_fields} | OF_COMPOSE | OF_CLIENT
PREFIXES = {name.split("_")[0] for name in SETTINGS} - {"LOG"}


@cache
def functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's sections."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_every_test_that_guarantees_name_exists() -> None:
    named = [
        (text, (GUARANTEES.parent / target).resolve())
        for text, target in LINK.findall(GUARANTEES.read_text())
        if target.startswith("../tests/")
    ]
    assert len(named) > 100
    lost = [
        f"{text} ({path.relative_to(ROOT)})"
        for text, path in named
        if not path.exists()
        or (text != path.name and f"test_{text.replace(' ', '_')}" not in functions(path))
    ]
    assert not lost, "docs/guarantees.md names tests by words of their names; these are not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for text, target in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"[{text}]({target})"
        assert not anchor or anchor in anchors(file), f"[{text}]({target})"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_module_and_target_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # it names what is gone, too
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    code = "\n".join(CODE.findall(FENCE.sub("", text)))
    fenced = "\n".join(FENCE.findall(text))
    for path in PATHS.findall(code):
        assert any(ROOT.glob(path.rstrip("/.,"))) or path == "deploy/api-keys", path
    for command in COMMANDS.findall(f"{code}\n{fenced}"):
        assert command in targets, f"make {command}"
    for module in MODULES.findall(text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), (
            f"python -m {module}"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    for words in CODE.findall(FENCE.sub("", page.read_text())):
        for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", words):
            assert name in SETTINGS or name.split("_")[0] not in PREFIXES, name


def test_every_metric_to_watch_exists() -> None:
    section = (ROOT / "docs/operations.md").read_text().partition("## What to watch")[2]
    cells = [
        line.split("|")[1] for line in section.partition("\n## ")[0].splitlines() if "|" in line
    ]
    named = re.findall(r"`(\w+)(?:\{[\w,]+\})?`", " ".join(cells))
    assert len(named) > 10
    source = "".join(
        path.read_text() for part in ("shared", "api") for path in ROOT.glob(f"{part}/**/*.py")
    )
    assert [name for name in named if f'"{name}"' not in source] == []
