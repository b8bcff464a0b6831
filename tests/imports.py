"""Who imports whom in fastnn, read from the sources; nothing is imported for it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

import fastnn

PACKAGE = Path(fastnn.__file__).parent


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# Module to file.  The core is compiled; what it imports, its own test reads.
FILES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "_core"}


def short(module: str) -> str:
    """Return a module's name without the package's."""
    return module.removeprefix("fastnn.")


class _Imports(ast.NodeVisitor):
    """What one file imports, wherever it says so: at its top, in functions, for types, by a string."""

    def __init__(self, module: str, source: str) -> None:
        self.module = module
        self.found: set[str] = set()
        self.unknown: list[str] = []  # calls whose string is not in the source
        tree = ast.parse(source)
        self.strings = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and type(node.value) is str
        }
        self.visit(tree)

    def visit_Import(self, node: ast.Import) -> None:
        self.found.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, f"{self.module} has a relative import"
        assert node.module is not None
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            self.found.add(
                full if full in FILES or node.module in ("fastnn", "fastnn._core") else node.module
            )

    def visit_Call(self, node: ast.Call) -> None:
        function = ast.unparse(node.func).split(".")
        loads = function[-1] == "load" and (len(function) == 1 or function[-2].endswith("guards"))
        if loads or function[-1] in ("import_module", "__import__"):
            self._string(node.args[0])
        self.generic_visit(node)

    def _string(self, argument: ast.expr) -> None:
        match argument:
            case ast.Constant(value=str(name)):
                self.found.add(name)
            case ast.JoinedStr(values=[*start, ast.FormattedValue()]):
                # A table of modules: each string of the file that completes the name of one.
                prefix = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else self.module for part in start
                )
                self.found.update(prefix + end for end in self.strings if prefix + end in FILES)
            case _:
                self.unknown.append(ast.unparse(argument))


def imports_of(module: str, source: str) -> set[str]:
    """Return the names that a source imports if it stands in a module."""
    return _Imports(module, source).found


@functools.cache
def _read(module: str) -> _Imports:
    return _Imports(module, FILES[module].read_text(encoding="utf-8"))


def imported(module: str) -> frozenset[str]:
    """Return the modules that one imports: lazily and for types as well, itself and its packages apart."""
    names = set()
    for name in _read(module).found:
        if name in FILES or not name.startswith("fastnn.") or name.startswith("fastnn._core"):
            names.add(name)
        else:  # a name that a package's `__init__` has
            names.add(name.rpartition(".")[0])
    return frozenset(names - {module})


def unknown(module: str) -> list[str]:
    """Return the arguments of imports by strings that the source does not show."""
    return _read(module).unknown


def graph() -> dict[str, frozenset[str]]:
    """Return the modules of fastnn and what each imports of them."""
    return {module: frozenset(imported(module) & FILES.keys()) for module in FILES}


def reached(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the modules to which a chain of imports leads from one; itself only if there is a circle."""
    found: set[str] = set()
    todo = [start]
    while todo:
        for name in edges.get(todo.pop(), ()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found


def circle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Return modules that import each other, in order, the first one again at the end; [] if none do."""
    for start in edges:
        previous: dict[str, str] = {}
        todo = [start]
        while todo:
            module = todo.pop(0)
            for name in edges[module]:
                if name == start:
                    way = [start, module]
                    while way[-1] != start:
                        way.append(previous[way[-1]])
                    return way[::-1]
                if name not in previous:
                    previous[name] = module
                    todo.append(name)
    return []
