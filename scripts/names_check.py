"""Fail on names that name nothing: `found`, `told`, `one`, ... where a noun of the field belongs.

    python scripts/names_check.py              # the share of all bound names; the names if the share is too large
    python scripts/names_check.py src/douane/stream  # each such name, and their share

Bound names are those of variables, parameters, functions, classes and attributes. A loop variable of a comprehension
of at most three lines may be short. The vocabulary is in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

_WORDS = """
found told one there given shown left known made asked wanted ran seen taken kept held begun whole each most least said
called both other others thing things here done before after behind beside above below wrong right own
"""
EMPTY = frozenset(_WORDS.split())
MAX_SHARE = 0.007
"""Of all bound names. svcs, httpx, click, mitmproxy, borg and unblob have less."""
ROOTS = (
    *("src", "sdk/src", "guest/src", "kit/src", "bench", "scripts", "examples"),
    *("tests", "sdk/tests", "guest/tests", "kit/tests"),
)
FROZEN = "tests/contract/level1"
"""The plugins of the recorded contract, which are never edited."""
SHORT_LINES = 3
"""Lines of a comprehension whose variables may be short."""


def is_empty(name: str) -> bool:
    """True if every word of `name` is empty."""
    words = [word for word in name.strip("_").lower().split("_") if word]
    return bool(words) and all(word in EMPTY for word in words)


def bound_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each name that is bound in `tree`, with its line."""
    short = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.comprehension):
            short |= {id(part) for part in ast.walk(node.target)} if _is_short(node) else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in short:
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno


def _is_short(node: ast.comprehension) -> bool:
    parts = [part for part in ast.walk(node) if isinstance(part, ast.expr)]
    return max(part.end_lineno or part.lineno for part in parts) - min(part.lineno for part in parts) < SHORT_LINES


def main(arguments: list[str]) -> int:
    """Print the share, and the names if it is too large or `arguments` name paths; 1 if it is too large."""
    total, empty = 0, []
    for root in arguments or ROOTS:
        files = [Path(root)] if root.endswith(".py") else sorted(Path(root).rglob("*.py"))
        for file in files:
            if FROZEN in file.as_posix():
                continue
            for name, line in bound_names(ast.parse(file.read_text())):
                total += 1
                if is_empty(name):
                    empty.append(f"{file}:{line}: {name}")
    share = len(empty) / max(total, 1)
    if arguments or share > MAX_SHARE:
        print(*empty, sep="\n")
    print(f"{len(empty)} of {total} bound names say nothing: {share:.2%} (at most {MAX_SHARE:.1%})")
    return share > MAX_SHARE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
