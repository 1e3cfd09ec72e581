"""All regular expressions of the product's code, and how each is used.

The benchmarks' are left out: they read nothing but their own output.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("api", "worker", "shared", "stack", "demo", "operations", "client")

_WHOLE: Final = frozenset({"fullmatch"})
_AT_THE_BEGINNING: Final = frozenset({"match", "fullmatch"})
_ANYWHERE: Final = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
_REASON: Final = re.compile(r"# linear: \S")


class Unclear(Exception):
    """An expression that is not a constant, and so can't be checked."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One regular expression, and the ways it is used. Where that is not seen, all count."""

    file: str
    line: int
    pattern: str | bytes
    flags: int
    methods: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether it ever has to match to the text's end."""
        return bool(self.methods & _WHOLE)

    @property
    def anywhere(self) -> bool:
        """Whether it is ever tried at each place of a text."""
        return bool(self.methods & _ANYWHERE)


def expressions() -> list[Expression]:
    """Those of the whole tree, in its order."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    return [
        found
        for file, source in sources.items()
        # Reading a tree takes 20 ms, and three in four files import no expressions.
        if "import re" in source or "from re" in source
        for found in in_source(source, file)
    ]


def in_source(source: str, file: str) -> Iterator[Expression]:
    """Those of one file. Raises `Unclear` for one that is no constant, and whose line doesn't say
    why it is linear all the same: `# linear: …`.

    Those of pydantic's fields are not among them: the library that reads them is linear by design.
    """
    tree, lines = ast.parse(source), source.splitlines()
    constants: dict[str, Any] = {}
    names: dict[ast.expr, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                names[node.value] = target.id
                if isinstance(value := _constant(node.value, constants), str | bytes):
                    constants[target.id] = value
    used = _methods(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and _imports(node) & {"regex", "re2"}:
            raise Unclear(f"{file}:{node.lineno}: only the standard library's expressions")
        if isinstance(node, ast.ImportFrom) and node.module == "re":
            raise Unclear(f"{file}:{node.lineno}: import re as a whole")
        if not (isinstance(node, ast.Call) and _is_re(node.func)):
            continue
        assert isinstance(node.func, ast.Attribute)
        method = node.func.attr
        if method not in _AT_THE_BEGINNING | _ANYWHERE | {"compile"}:
            continue  # re.escape
        pattern = _constant(node.args[0], constants)
        if not isinstance(pattern, str | bytes):
            if _REASON.search(lines[node.lineno - 1]):
                continue
            raise Unclear(f"{file}:{node.lineno}: the expression is no constant")
        methods = frozenset({method})
        if method == "compile":
            methods = used.get(names.get(node, ""), _AT_THE_BEGINNING | _ANYWHERE)
        yield Expression(file, node.lineno, pattern, _flags(node, method), methods)


def _imports(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {node.module or ""}
    return {alias.name for alias in node.names}


def _is_re(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
    )


def _methods(tree: ast.Module) -> Mapping[str, frozenset[str]]:
    """What each private name is asked for; of one that is handed on, what anything is asked for."""
    used: dict[str, set[str]] = {}
    asked: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.setdefault(node.value.id, set()).add(node.attr)
            asked.add(id(node.value))
    elsewhere = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in asked
    }
    anything = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    anything -= {"split"}  # of a string, most often
    return {
        name: frozenset(anything if name in elsewhere else used[name])
        for name in used.keys() | elsewhere
        if name.startswith("_")
    }


def _constant(  # noqa: PLR0911 - one for each kind of node
    node: ast.expr, constants: Mapping[str, Any]
) -> Any:
    """The value of a string that is put together from constants; None where it is anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.FormattedValue) and node.format_spec is None:
        return _constant(node.value, constants)
    if isinstance(node, ast.JoinedStr):
        parts = [_constant(part, constants) for part in node.values]
        return "".join(parts) if all(isinstance(part, str) for part in parts) else None
    if isinstance(node, ast.Tuple):
        return tuple(_constant(part, constants) for part in node.elts)
    if isinstance(node, ast.BinOp):
        left, right = _constant(node.left, constants), _constant(node.right, constants)
        if isinstance(left, str | bytes) and right is not None:
            if isinstance(node.op, ast.Add):
                return left + right
            if isinstance(node.op, ast.Mod):
                return left % right
    return None


def _flags(call: ast.Call, method: str) -> int:
    """The flags of the call, which stand last or by name."""
    given = [word.value for word in call.keywords if word.arg == "flags"]
    place = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(method, 2)
    given += call.args[place : place + 1]
    if not given:
        return 0
    names = {node.attr for node in ast.walk(given[0]) if isinstance(node, ast.Attribute)}
    return sum(int(re.RegexFlag[name]) for name in names)
