"""The page about the architecture names files, packages, classes and functions that exist."""

from __future__ import annotations

import ast
import builtins
import re
from functools import cache
from pathlib import Path

import pytest

from support.doc_pages import TOP, blocks, page, spans

PAGE = "docs/architecture.md"
SOURCES = (TOP / "src" / "douane", TOP / "sdk" / "src" / "douane_plugin", TOP / "kit" / "src" / "douane_kit")
ROOTS = (SOURCES[0], *(folder.parent for folder in SOURCES), TOP)

PATH = re.compile(r"[a-z_][a-z_0-9]*(?:/[a-z_0-9]+)*(?:/|/[a-z_0-9]+\.py|/[a-z_0-9]+|\.py)")
CLASS = re.compile(r"[A-Z]\w*[a-z]\w*(?:\.\w+)?")
FUNCTION = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
MODULE = re.compile(r"douane(?:_plugin|_kit)?(?:\.\w+)+")
TWO_HUMPS = re.compile(r"\b(?:[A-Z][a-z]+){2,}\b")
LINE_OF_A_PICTURE = re.compile(r"^[ \d]+ (\S+\.py) +([A-Za-z_., ]+?) \.{3,}", re.MULTILINE)
NAME_IN_FILE = re.compile(r"`([A-Za-z_]+)(?:\.[a-z_]+)?` (?:\(|in )`((?:[a-z_]+/)+[a-z_]+\.py)`")


@cache
def definitions(path: Path) -> dict[str, set[str]]:
    """The classes and functions of a module, each with the names that a class defines."""
    names: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            parts = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            parts |= {part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef)}
            parts |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            names[node.name] = names.get(node.name, set()) | parts
        elif isinstance(node, ast.Assign | ast.AnnAssign):  # an alias, such as a union of classes
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id: set() for target in targets if isinstance(target, ast.Name)}
    return names


@cache
def all_definitions() -> dict[str, set[str]]:
    """The same of all our packages; a module counts as a name as well."""
    names: dict[str, set[str]] = {folder.name: set() for folder in SOURCES}
    for path in (path for folder in SOURCES for path in folder.rglob("*.py")):
        names.setdefault(path.stem, set())
        for name, parts in definitions(path).items():
            names[name] = names.get(name, set()) | parts
    return names


def resolves(name: str) -> bool:
    """True if a dotted name leads to a module, or to a definition in a module."""
    steps = name.split(".")
    for count in range(len(steps), 0, -1):
        for root in ROOTS[1:4]:
            module = root.joinpath(*steps[:count])
            path = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
            if path.is_file():
                rest = steps[count:]
                return not rest or (rest[0] in definitions(path) and set(rest[1:]) <= definitions(path)[rest[0]])
    return False


def problem_of(name: str) -> str | None:
    """What is wrong with a name in backticks, if it is a name of the code at all."""
    if MODULE.fullmatch(name):
        return None if resolves(name) else "no such module, class or function"
    if CLASS.fullmatch(name):
        owner, _, part = name.partition(".")
        names = all_definitions()
        if owner not in names and not hasattr(builtins, owner):
            return "no such class"
        return None if not part or part in names.get(owner, ()) else f"{owner} has no {part}"
    if FUNCTION.fullmatch(name):
        return None if name in all_definitions() else "no such function or module"
    if PATH.fullmatch(name) and not any((root / name).exists() for root in ROOTS):
        return "no such file or folder"
    return None


def problems(text: str) -> list[str]:
    """All names on a page that do not exist, in backticks and in its pictures."""
    names = {span for span in spans(text) if problem_of(span)}
    for block in blocks(text):
        names |= {name for name in TWO_HUMPS.findall(block.text) if problem_of(name)}
        names |= {path for path in re.findall(r"\b[a-z_/]+/[a-z_]+\.py\b", block.text) if problem_of(path)}
    sentences = [f"{name}: {problem_of(name)}" for name in sorted(names)]
    placed = {(path, name) for name, path in NAME_IN_FILE.findall(text)}
    for path, several in (match for block in blocks(text) for match in LINE_OF_A_PICTURE.findall(block.text)):
        placed |= {(path, name) for name in re.findall(r"[A-Za-z_]+", several.partition(".")[0])}
    for path, name in sorted(placed):
        files = [root / path for root in ROOTS if (root / path).is_file()]
        if files and name not in definitions(files[0]):
            sentences.append(f"{path} has no {name}")
    return sentences


def test_every_name_on_the_page_exists() -> None:
    assert problems(page(PAGE)) == []


def test_every_package_is_listed() -> None:
    packages = {path.parent.name for path in SOURCES[0].glob("*/__init__.py")}
    assert packages <= set(re.findall(r"^\| `([a-z]+)` \|", page(PAGE), re.MULTILINE))


@pytest.mark.parametrize(
    "text",
    [
        "`douane.stream.ring.Rong`",
        "`stream/rong.py`",
        "`no_such_folder/`",
        "`Rong`",
        "`Ring.no_such_method`",
        "`no_such_function`",
        "```text\nstream/rong.py\n```",
        "```text\n RongReader\n```",
        "```text\n 5  stream/ring.py   Rong ... shared memory\n```",
        "`Ring` in `stream/source.py`",
    ],
)
def test_a_name_that_does_not_exist_is_found(text: str) -> None:
    assert len(problems(text)) == 1


def test_names_that_exist_pass() -> None:
    text = (
        "`douane.stream.ring.Ring`, `stream/ring.py`, `plugins/formats/`, `Ring.reserve`, `inspect_image`, `ValueError`"
    )
    assert problems(text) == []
