"""The files of a module and of its package, as an interpreter would find them. Nothing is imported."""

from __future__ import annotations

import importlib.machinery
import os

from douane.errors import PlanError

from .builtin import GUEST_MODULES, GUEST_PACKAGE, PACKAGE, SHARED_PACKAGE

MAX_DEPTH = 64
"""Levels of folders in a package."""

_LOADABLE = (".py", ".pyc", ".so")
_RULES = ".toml"
"""Rules of an inspector beside its code (`secrets`): an image is judged by them as by the code."""


def package_folder(module: str, origin: str) -> str | None:
    """The folder whose files `module` may import, or None for a module outside a package.

    For a built-in plugin it is the whole folder `plugins`, with the format readers that several plugins share.
    """
    if module.startswith(f"{PACKAGE}."):
        folder, separator, _ = origin.rpartition("/plugins/")
        return f"{folder}{separator}".rstrip("/")
    is_package = os.path.basename(origin).partition(".")[0] == "__init__"
    return os.path.dirname(origin) if "." in module or is_package else None


def shared_package(module: str, sys_path: tuple[str, ...]) -> str | None:
    """The folder of the package outside of `plugins` that built-in plugins import: the headers of formats, which the
    guest view reads as well, and for those that read files all of that. None for other plugins, and if it is not
    installed."""
    if not module.startswith(f"{PACKAGE}."):
        return None
    start = find_module(GUEST_PACKAGE if module in GUEST_MODULES else SHARED_PACKAGE, sys_path)
    return os.path.dirname(start) if start else None


def loadable_files(folder: str) -> dict[str, str]:
    """The files in `folder` and below, also behind links, that an import may run, and rules: names in the folder, and
    paths.

    Without __pycache__, which nothing of a plugin is loaded from (`douane_plugin._load`). Raises PlanError, without the
    name of the plugin, for folders that are too deep.
    """
    files: dict[str, str] = {}
    entered = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        if folders and parent.count("/") - folder.count("/") >= MAX_DEPTH:
            raise PlanError(f"{folder} has folders that are more than {MAX_DEPTH} levels deep")
        targets = {name: os.path.realpath(os.path.join(parent, name)) for name in folders if name != "__pycache__"}
        folders[:] = [name for name in sorted(targets) if targets[name] not in entered]
        entered |= set(targets.values())
        paths = [os.path.join(parent, name) for name in names if name.endswith((*_LOADABLE, _RULES))]
        files |= {os.path.relpath(path, folder): path for path in paths}
    return files


def find_module(module: str, sys_path: tuple[str, ...]) -> str | None:
    """The file of a module; None if there is none."""
    origins = module_files(module, sys_path)
    return origins[-1] if origins else None


def module_files(module: str, sys_path: tuple[str, ...]) -> list[str | None]:
    """The files of the packages that `module` is in, and its own; None for a package without one. Empty if there is no
    such module. They are found without importing the packages, whose code would then run in the engine."""
    search: list[str] | None = list(sys_path)
    origins: list[str | None] = []
    parts = module.split(".")
    for number in range(1, len(parts) + 1):
        if search is None:
            return []
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:number]), search)
        if spec is None:
            return []
        search = list(spec.submodule_search_locations) if spec.submodule_search_locations is not None else None
        origins.append(spec.origin if spec.origin and spec.has_location else None)
    return origins
