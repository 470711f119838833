"""From `use` in the plan to the code of one plugin: where it is, and the digest of what will run. Executes nothing."""

from __future__ import annotations

import hashlib
import importlib.machinery
import os

import msgspec

from douane import __version__
from douane.errors import PlanError
from douane.sandbox.executables import find_program

from .builtin import BUILT_IN, PACKAGE
from .model import PluginSpec
from .source_scan import Kind, scan_kind

ENTRY_POINTS = "douane.plugins"
"""The group in which other distributions register plugins."""


_LOADABLE = (".py", ".pyc", ".so")


class SourceFile(msgspec.Struct, frozen=True):
    """A class in a file, which the runtime is sent as text."""

    path: str
    source: str
    attribute: str


class ModuleClass(msgspec.Struct, frozen=True):
    """A class in a module that the plugin's interpreter imports."""

    module: str
    attribute: str


class WireProgram(msgspec.Struct, frozen=True):
    """A program that speaks the wire itself."""

    argv: tuple[str, ...]


class ExecProgram(msgspec.Struct, frozen=True):
    """A program that reads the image on its standard input."""

    argv: tuple[str, ...]


FORMAT = ModuleClass(*BUILT_IN["format"].split(":"))


class PluginCode(msgspec.Struct, frozen=True):
    """The code of one plugin."""

    target: SourceFile | ModuleClass | WireProgram | ExecProgram
    """What `use` stands for; all but the last are sent to the runtime as they are (docs/wire.md, ``use`` of LOAD)."""

    code_sha256: str
    """Digest (hex) of the files that will run."""

    kind: Kind = Kind()
    """Read from the source, so it may be wrong."""

    read: tuple[str, ...] = ()
    """The files and folders that the sandbox must show."""

    origin: str | None = None
    """The file of a module."""

    version: str | None = None

    @property
    def is_exec(self) -> bool:
        """True for a program that reads the image on its standard input."""
        return isinstance(self.target, ExecProgram)

    @property
    def argv(self) -> tuple[str, ...]:
        """The command of a program; empty for a class."""
        return self.target.argv if isinstance(self.target, WireProgram | ExecProgram) else ()

    @property
    def attribute(self) -> str | None:
        """The name of the class; None for a program."""
        return self.target.attribute if isinstance(self.target, SourceFile | ModuleClass) else None

    @property
    def is_format(self) -> bool:
        """True for the built-in format inspector, which determines the format that an image is stored as."""
        return self.target == FORMAT

    def source(self) -> str | None:
        """The text of the file of the class; None if there is none, or if it cannot be read."""
        if isinstance(self.target, SourceFile):
            return self.target.source
        try:
            return _read(self.origin).decode() if self.origin is not None else None
        except (OSError, ValueError):
            return None


def find_code(plugin: PluginSpec, sys_path: tuple[str, ...]) -> PluginCode:
    """Find the code of `plugin`; `sys_path` is where its interpreter imports from. Raises PlanError."""
    use = plugin.use
    if use.startswith(("exec:", "wire:")):
        return _program(plugin)
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


def _program(plugin: PluginSpec) -> PluginCode:
    import shlex

    scheme, _, command = plugin.use.partition(":")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise PlanError(f"plugin {plugin.name!r}: {plugin.use} cannot be split into words: {error}") from error
    if not words:
        raise PlanError(f"plugin {plugin.name!r}: {scheme}: names no program")
    if scheme == "wire" and plugin.python:
        raise PlanError(f"plugin {plugin.name!r}: 'python' is for Python plugins; a program has its own interpreter")
    if scheme == "exec" and (plugin.config or plugin.texts or plugin.grants or plugin.python or plugin.scratch):
        raise PlanError(
            f"plugin {plugin.name!r}: a program takes its settings as arguments (use = 'exec:PROGRAM ARGS'); "
            "config, grants, scratch and python are for Python plugins"
        )
    program = plugin.path(words[0]) if "/" in words[0] else find_program(words[0])
    if program is None:
        raise PlanError(
            f"plugin {plugin.name!r}: there is no program {words[0]!r} on the PATH; "
            f"write the path of a file, such as {scheme}:./{words[0]}"
        )
    if not os.path.isfile(program):
        raise PlanError(f"plugin {plugin.name!r}: there is no program {words[0]!r}: {program} is no file")
    if not os.access(program, os.X_OK):
        raise PlanError(f"plugin {plugin.name!r}: {program} is not executable (chmod +x)")
    path = os.path.abspath(program)  # not the target of a link: unxz, zcat and others look at the name of their call
    argv = (path, *words[1:])
    digest = _digest(plugin, {path: path})
    return PluginCode(WireProgram(argv) if scheme == "wire" else ExecProgram(argv), digest)


def _entry_point(plugin: PluginSpec) -> str:
    from importlib.metadata import entry_points

    if plugin.use.endswith(".py"):
        raise PlanError(f"plugin {plugin.name!r}: {plugin.use!r} names a file and no class; write {plugin.use}:CLASS")
    if "/" in plugin.use:
        raise PlanError(
            f"plugin {plugin.name!r}: {plugin.use!r} is a path; write exec:{plugin.use} if it is a program, "
            f"{plugin.use}:CLASS if it is a file in Python"
        )
    installed = entry_points(group=ENTRY_POINTS)
    for entry in installed:
        if entry.name == plugin.use:
            return entry.value
    names = sorted({*BUILT_IN, *(entry.name for entry in installed)})
    raise PlanError(
        f"plugin {plugin.name!r}: there is no installed plugin {plugin.use!r}; installed are: {', '.join(names)}"
    )


def _file(plugin: PluginSpec, path: str, attribute: str) -> PluginCode:
    full = plugin.path(path)
    try:
        content = _read(full)
        source = content.decode()
    except OSError as error:
        raise PlanError(f"plugin {plugin.name!r}: {full} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"plugin {plugin.name!r}: {full} is not UTF-8 text: {error.reason}") from error
    target = SourceFile(full, source, attribute)
    return PluginCode(target, hashlib.sha256(content).hexdigest(), scan_kind(source, attribute))


def _module(plugin: PluginSpec, module: str, attribute: str, sys_path: tuple[str, ...]) -> PluginCode:
    origins = _origins(module, sys_path)
    origin = origins[-1] if origins else None
    if origin is None:
        raise PlanError(
            f"plugin {plugin.name!r}: there is no module {module!r} for its interpreter; install it there, "
            "or set python = to the interpreter that has it"
        )
    folder = _folder(module, origin)
    files = _loadable_in(folder) if folder else {os.path.basename(origin): origin}
    parents = [path for path in origins if path is not None and path not in files.values()]
    files |= {f"parent {number}": path for number, path in enumerate(parents)}  # they run before it
    kind = scan_kind(_read(origin).decode(errors="replace"), attribute) if origin.endswith(".py") else Kind()
    return PluginCode(
        ModuleClass(module, attribute),
        _digest(plugin, files),
        kind,
        read=(folder,) if folder else (origin,),
        origin=origin,
        version=__version__ if module.startswith(f"{PACKAGE}.") else None,
    )


def _folder(module: str, origin: str) -> str | None:
    """The folder whose files `module` may import, or None for a module outside a package.

    For a built-in plugin it is the whole folder `plugins`, with the format readers that several plugins share.
    """
    if module.startswith(f"{PACKAGE}."):
        folder, separator, _ = origin.rpartition("/plugins/")
        return f"{folder}{separator}".rstrip("/")
    is_package = os.path.basename(origin).partition(".")[0] == "__init__"
    return os.path.dirname(origin) if "." in module or is_package else None


def _loadable_in(folder: str) -> dict[str, str]:
    """The files in `folder` and below, also behind links, that an import may run: names in the folder, and paths.

    Without __pycache__, which nothing of a plugin is loaded from (`douane_plugin._load`).
    """
    files: dict[str, str] = {}
    entered = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        targets = {name: os.path.realpath(os.path.join(parent, name)) for name in folders if name != "__pycache__"}
        folders[:] = [name for name in sorted(targets) if targets[name] not in entered]
        entered |= set(targets.values())
        paths = [os.path.join(parent, name) for name in names if name.endswith(_LOADABLE)]
        files |= {os.path.relpath(path, folder): path for path in paths}
    return files


def find_module(module: str, sys_path: tuple[str, ...]) -> str | None:
    """The file of a module; None if there is none."""
    origins = _origins(module, sys_path)
    return origins[-1] if origins else None


def _origins(module: str, sys_path: tuple[str, ...]) -> list[str | None]:
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


def _digest(plugin: PluginSpec, files: dict[str, str]) -> str:
    """The digest of `files`, by the names that tell them apart; of a single file, of its content alone."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        try:
            content = _read(path)
        except OSError as error:
            raise PlanError(f"plugin {plugin.name!r}: {path} cannot be read: {error.strerror}") from error
        if len(files) > 1:
            total.update(os.fsencode(f"{name}\0{len(content)}\0"))
        total.update(content)
    return total.hexdigest()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
