"""docs/architecture.md names files, classes and functions that exist."""

from __future__ import annotations

import ast
import re

import pytest

from support.doc_pages import TOP, page

TEXT = page("docs/architecture.md")
PACKAGE = TOP / "src" / "douane"
FILES = sorted(set(re.findall(r"(?<![\w./])((?:[a-z_]+/)+[a-z_]+\.py)\b", TEXT)))
PLACED = sorted(
    set(re.findall(r"`([A-Za-z_]+)(?:\.[a-z_]+)?` \(`((?:[a-z_]+/)+[a-z_]+\.py)`", TEXT))
    | set(re.findall(r"`([A-Za-z_]+)(?:\.[a-z_]+)?` in `((?:[a-z_]+/)+[a-z_]+\.py)`", TEXT))
    | {
        (name, file)
        for file, names in re.findall(
            r"^[ \d]+ ((?:[a-z_]+/)+[a-z_]+\.py) +([A-Za-z_., ]+?) \.{2,}", TEXT, re.MULTILINE
        )
        for name in re.findall(r"[A-Za-z_]+", names.partition(".")[0])
    }
)


@pytest.mark.parametrize("file", FILES)
def test_every_file_exists(file):
    assert (PACKAGE / file).is_file() or (TOP / file).is_file()


@pytest.mark.parametrize(("name", "file"), PLACED)
def test_every_class_is_in_its_file(name, file):
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def test_every_package_is_listed():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= set(re.findall(r"^\| `([a-z]+)` \|", TEXT, re.MULTILINE))


def test_the_page_places_classes():
    assert len(PLACED) > 15 and len(FILES) > 20
