"""From `use` in the plan to code: where it is, and the digest of what will run. Nothing of it is executed."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import os
import shlex
import shutil
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from douane.errors import PlanError

from .builtin import BUILT_IN
from .plan import PluginSpec

ENTRY_POINTS = "douane.plugins"
PACKAGE = "douane.plugins"
"""Where the built-in plugins are."""

_PARSING = threading.Lock()
"""CPython 3.11 counts the depth of a tree that it builds for all threads together, and raises SystemError when another
thread parses meanwhile (python/cpython, issue 106905)."""


@dataclass(frozen=True)
class Resolved:
    """What `use` stands for: `argv` (a program), or `load` (as the runtime is told it), or both (it is the runtime)."""

    code_sha256: str
    read: tuple[Path, ...] = ()
    load: dict[str, Any] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    version: str | None = None
    transform: bool = False
    random: bool = False
    origin: Path | None = None
    """The file of a module."""

    @property
    def is_program(self) -> bool:
        """True for a program that is given the image on its standard input."""
        return bool(self.argv) and not self.load

    @property
    def is_format(self) -> bool:
        """True for the built-in format inspector, whose finding is what an image is stored as."""
        return f"{self.load.get('module')}:{self.load.get('attribute')}" == BUILT_IN["format"]


def under(base: str, path: str) -> str:
    """A path of the configuration: ``~`` is the home, a relative one begins at `base`, where the file is."""
    return os.path.join(base, os.path.expanduser(path))


def resolve(plugin: PluginSpec, sys_path: tuple[str, ...]) -> Resolved:
    """Find the code of `plugin`; `sys_path` is where its interpreter imports from. Raises PlanError."""
    use = plugin.use
    if use.startswith("exec:"):
        return _program(plugin)
    if use.startswith("wire:"):
        found = _program(plugin)
        return replace(found, load={"argv": list(found.argv)})
    if ":" not in use:
        use = BUILT_IN.get(use) or _entry_point(plugin)
    module, _, attribute = use.rpartition(":")
    if not module or not attribute.isidentifier():
        raise PlanError(
            f"plugin {plugin.name!r}: use = {plugin.use!r} is not understood; write module:Class, "
            "path/to/file.py:Class, the name of an installed plugin, exec:PROGRAM or wire:PROGRAM"
        )
    if module.endswith(".py") or "/" in module:
        return _file(plugin, module, attribute)
    return _module(plugin, module, attribute, sys_path)


def _program(plugin: PluginSpec) -> Resolved:
    scheme, _, command = plugin.use.partition(":")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise PlanError(f"plugin {plugin.name!r}: {plugin.use} cannot be split into words: {error}") from error
    if not words:
        raise PlanError(f"plugin {plugin.name!r}: {scheme}: names no program")
    if scheme == "wire" and plugin.python:
        raise PlanError(f"plugin {plugin.name!r}: a program is run as it is; python is for Python plugins")
    if scheme == "exec" and (plugin.config or plugin.texts or plugin.grants or plugin.python or plugin.scratch):
        raise PlanError(
            f"plugin {plugin.name!r}: a program takes its settings as arguments (use = 'exec:PROGRAM ARGS'); "
            "config, grants, scratch and python are for Python plugins"
        )
    found = under(plugin.base, words[0]) if "/" in words[0] else shutil.which(words[0])
    if found is None or not os.path.isfile(found):
        raise PlanError(f"plugin {plugin.name!r}: there is no program {words[0]!r}; give its full path")
    if not os.access(found, os.X_OK):
        raise PlanError(f"plugin {plugin.name!r}: {found} is not executable (chmod +x)")
    path = os.path.abspath(found)  # not what it links to: unxz, zcat and others ask by which name they were called
    return Resolved(code_sha256=_digest(plugin, [Path(path)]), argv=(path, *words[1:]))


def _entry_point(plugin: PluginSpec) -> str:
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS)
    for entry in found:
        if entry.name == plugin.use:
            return entry.value
    names = sorted({*BUILT_IN, *(entry.name for entry in found)})
    raise PlanError(
        f"plugin {plugin.name!r}: there is no installed plugin {plugin.use!r}; installed are: {', '.join(names)}"
    )


def _file(plugin: PluginSpec, path: str, attribute: str) -> Resolved:
    full = under(plugin.base, path)
    try:
        data = Path(full).read_bytes()
        source = data.decode()
    except OSError as error:
        raise PlanError(f"plugin {plugin.name!r}: {full} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"plugin {plugin.name!r}: {full} is not UTF-8 text: {error.reason}") from error
    load = {"path": full, "source": source, "attribute": attribute}
    transform, random = _glance_at(source, attribute)
    return Resolved(code_sha256=hashlib.sha256(data).hexdigest(), load=load, transform=transform, random=random)


def _module(plugin: PluginSpec, module: str, attribute: str, sys_path: tuple[str, ...]) -> Resolved:
    origin = _find(module, sys_path)
    if origin is None:
        raise PlanError(
            f"plugin {plugin.name!r}: there is no module {module!r} for its interpreter; install it there, "
            "or set python = to the interpreter that has it"
        )
    # A module in a package runs the package's other files too; a built-in plugin also the readers of formats beside it.
    folder = _folder(module, origin)
    files = sorted(folder.rglob("*.py")) if folder else [origin]
    transform = random = False
    if origin.suffix == ".py":
        transform, random = _glance_at(origin.read_text(errors="replace"), attribute)
    return Resolved(
        code_sha256=_digest(plugin, files),
        transform=transform,
        random=random,
        load={"module": module, "attribute": attribute},
        version=_version(module),
        read=(folder,) if folder else (origin,),
        origin=origin,
    )


def _folder(module: str, origin: Path) -> Path | None:
    """The folder whose files `module` may run, or None for a module that stands alone."""
    if module.startswith(f"{PACKAGE}."):
        return next(parent for parent in origin.parents if parent.name == "plugins")
    return origin.parent if "." in module else None


def parse_source(source: str) -> ast.Module:
    """Parse Python. Raises SyntaxError, ValueError, RecursionError, MemoryError."""
    with _PARSING:
        return ast.parse(source)


def _glance_at(source: str, attribute: str) -> tuple[bool, bool]:
    """Whether the class looks like a transform, and like one that reads at random, without running it.

    What a plugin is handed depends on that and must be there before it starts. A wrong guess costs a second
    start, so a class that gets these from elsewhere still works.
    """
    try:
        tree = parse_source(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False, False  # the runtime will say what is wrong with it
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            transform = any("Transform" in ast.dump(base) for base in node.bases)
            random = any(
                isinstance(line, ast.Assign | ast.AnnAssign)
                and isinstance(line.value, ast.Constant)
                and line.value.value == "random"
                for line in node.body
            )
            return transform, random
    return False, False


def _find(module: str, sys_path: tuple[str, ...]) -> Path | None:
    """The file of a module, found without importing its parents (which would run them in the engine)."""
    search: list[str] | None = list(sys_path)
    spec: importlib.machinery.ModuleSpec | None = None
    parts = module.split(".")
    for number in range(1, len(parts) + 1):
        if search is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:number]), search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations) if spec.submodule_search_locations is not None else None
    return Path(spec.origin) if spec is not None and spec.origin and spec.has_location else None


def _version(module: str) -> str | None:
    if not module.startswith("douane."):
        return None
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("douane")
    except PackageNotFoundError:
        return None


def _digest(plugin: PluginSpec, files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise PlanError(f"plugin {plugin.name!r}: {file} cannot be read: {error.strerror}") from error
        if len(files) > 1:
            total.update(f"{file.name}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()
