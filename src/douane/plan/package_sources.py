"""The texts of the modules that the file of a plugin's class imports from its own package. Nothing is imported."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

from .builtin import PACKAGE
from .module_files import package_folder
from .regular_files import read_regular
from .source_scan import MAX_SOURCE, UNREADABLE, parse_source

MAX_MODULES = 200
"""Modules of a package that are read; built-in plugins have up to 20."""


def sources_beside(module: str, origin: str, source: str) -> list[str]:
    """The texts of the modules of its package that `source`, which is the file `origin` of `module`, imports,
    and of those that they import, the nearest first. What cannot be read is left out."""
    folder = package_folder(module, origin)
    if folder is None:
        return []
    texts = {os.path.realpath(origin): source}
    queue = [(module, origin, source)]
    package = _package_of(module, origin)
    while queue and len(texts) <= MAX_MODULES:
        for name in _imports(*queue.pop(0)):
            path = _file_of(name, package, folder)
            if path is None or os.path.realpath(path) in texts:
                continue
            try:
                text = read_regular(path, MAX_SOURCE).decode()
            except (OSError, ValueError):
                continue
            texts[os.path.realpath(path)] = text
            queue.append((name, path, text))
    return list(texts.values())[1:]


def _package_of(module: str, origin: str) -> str:
    """The name of the package that :func:`package_folder` says."""
    if module.startswith(f"{PACKAGE}."):
        return PACKAGE
    return module if _is_package(origin) else module.rpartition(".")[0]


def _is_package(path: str) -> bool:
    return os.path.basename(path).partition(".")[0] == "__init__"


def _imports(module: str, path: str, source: str) -> Iterator[str]:
    """The whole names that a module imports: modules, and what may be modules."""
    try:
        tree = parse_source(source)
    except UNREADABLE:
        return
    parts = module.split(".") if _is_package(path) else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _file_of(name: str, package: str, folder: str) -> str | None:
    """The file of a module of the package; None for others."""
    if not name.startswith(f"{package}."):
        return None
    path = os.path.join(folder, *name[len(package) + 1 :].split("."))
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if os.path.isfile(file)), None)
