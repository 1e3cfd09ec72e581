"""The lists of mutants fit the code as it stands. That they are killed shows `make mutants`."""

import ast
from pathlib import Path

import pytest

from tests.mutants.listed import Faulty, Mutant, listed, promise_of, promises

ROOT = Path(__file__).parents[2]
ROWS = promises((ROOT / "docs/guarantees.md").read_text())
MUTANTS = listed()


def named_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_has_its_place_its_promise_and_its_tests(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text()
    assert mutant.applied(source) != source
    assert promise_of(mutant, ROWS)
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert name in named_in(ROOT / path)


def mutant(**fields: str) -> Mutant:
    entry = {"name": "m", "promise": "A", "file": "a.py", "find": "x", "replace": "y"}
    return Mutant.model_validate({**entry, "tests": ["t"], **fields})


def test_a_place_that_is_not_found_once_is_named() -> None:
    assert mutant().applied("x = 1") == "y = 1"
    for source in ("a = 1", "x = x"):
        with pytest.raises(Faulty, match=r"m: a\.py"):
            mutant().applied(source)


def test_what_is_left_must_be_python() -> None:
    with pytest.raises(Faulty, match="no Python"):
        mutant(replace="(").applied("x = 1")
    assert mutant(file="a.lua", replace="end").applied("x") == "end"


def test_a_promise_stands_in_one_row() -> None:
    table = (
        "| promise | mechanism | test |\n|---|---|---|\n| A one | b | c |\n| Another | A | A |\n"
    )
    rows = promises(table)
    assert rows == ["A one", "Another"]
    assert promise_of(mutant(promise="A o"), rows) == "A one"
    for unclear in ("A", "B"):
        with pytest.raises(Faulty, match="rows"):
            promise_of(mutant(promise=unclear), rows)
