"""The tree of errors: complete, at one place, with codes that are listed, and free to import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane import errors
from douane.errors import DouaneError

SOURCE = Path(errors.__file__).parent


def subclasses(parent: type[DouaneError]) -> Iterator[type[DouaneError]]:
    for child in parent.__subclasses__():
        yield child
        yield from subclasses(child)


ERRORS = {
    child.__name__: child for child in (DouaneError, *subclasses(DouaneError)) if child.__module__ == errors.__name__
}


def test_the_docstring_has_the_tree_of_all_errors() -> None:
    rows = re.findall(r"^( *)[*+] (\w+) *(.*)$", errors.__doc__ or "", re.MULTILINE)
    assert [name for _, name, _ in rows] == list(ERRORS)
    for indent, name, text in rows:
        error = ERRORS[name]
        assert len(indent) // 2 == len(error.__mro__) - DouaneError.__mro__.__len__(), name
        inherited = error.code == error.__bases__[0].__dict__.get("code")
        assert inherited or f"``{error.code}``" in text, name
        stated = int(match[1]) if (match := re.search(r"exit code (\d)", text)) else 3
        assert error.exit_code == stated, name


def test_no_error_of_the_package_is_defined_elsewhere() -> None:
    names = set(ERRORS)
    for path in SOURCE.rglob("*.py"):
        if path == SOURCE / "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert not names & {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}, path


def test_every_code_is_one_that_its_class_lists() -> None:
    calls = 0
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
                error = ERRORS[node.func.id]  # type: ignore[attr-defined]
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        assert keyword.value.value in error.codes, f"{path}:{node.lineno}"
                        calls += 1
    assert calls > 20


def test_no_code_is_set_on_an_instance() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and any(getattr(target, "attr", "") == "code" for target in node.targets):
                receivers = {getattr(getattr(target, "value", None), "id", "") for target in node.targets}
                assert receivers <= {"self", "report"}, f"{path}:{node.lineno}"


def test_the_import_loads_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import douane.errors; print(*sorted(set(sys.modules) - before))"
    process = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert set(process.stdout.split()) <= {"__future__", "douane", "douane.errors"}


def test_a_code_given_to_the_constructor_is_the_instance_s_alone() -> None:
    error = errors.SourceError("the image ended early", code="truncated")
    assert (error.code, error.exit_code, str(error)) == ("truncated", 3, "the image ended early")
    assert errors.SourceError("unreadable").code == errors.SourceError.code == "unreadable"
    with pytest.raises(TypeError):
        errors.SourceError("truncated", "the image ended early")  # type: ignore[misc]
