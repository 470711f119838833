"""No module imports itself by way of others: not at its top, in a function, nor for type checkers alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SOURCES = ("src/douane", "sdk/src/douane_plugin", "guest/src/douane_guest", "kit/src/douane_kit")


def read_modules(folder: Path) -> dict[str, ast.Module]:
    """The syntax tree of each module of the package in `folder`, by dotted name; packages have their `__init__`'s."""
    trees = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[f"{name}.__init__" if parts[-1] == "__init__" else name] = ast.parse(path.read_text(), str(path))
    return trees


def import_graph(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Which of the modules in `trees` each module imports, wherever the statement is.

    ``from a import b`` imports ``a.b`` alone if that is a module: the package ``a`` need not know of ``b``.
    """

    def known(name: str) -> str | None:
        return next((key for key in (name, f"{name}.__init__") if key in trees), None)

    graph: dict[str, set[str]] = {}
    for name, tree in trees.items():
        candidates = (known(target) or known(parent) for target, parent in _targets(name, tree))
        graph[name] = {module for module in candidates if module is not None and module != name}
    return graph


def _targets(name: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each dotted name that the module `name` imports, and the module that it would be an attribute of."""
    package = name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            parent = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            yield from ((f"{parent}.{alias.name}", parent) for alias in node.names)


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one cycle in `graph`, empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def test_no_module_imports_itself_by_way_of_others():
    trees: dict[str, ast.Module] = {}
    for source in SOURCES:
        trees |= read_modules(TOP / source)
    assert find_cycle(import_graph(trees)) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("import toy.b", "from . import a"),
        ("from .b import B", "def late():\n    from toy.a import A"),
        ("from toy import b", "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from .a import A"),
    ],
    ids=["at the top", "in a function", "for type checkers"],
)
def test_a_cycle_is_noticed(tmp_path: Path, first: str, second: str) -> None:
    package = tmp_path / "toy"
    package.mkdir()
    for name, text in (("__init__", ""), ("a", first), ("b", second), ("c", "import toy.a")):
        (package / f"{name}.py").write_text(text)
    assert set(find_cycle(import_graph(read_modules(package)))) == {"toy.a", "toy.b"}
