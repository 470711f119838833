"""From `use` in the plan to the code of one plugin: where it is, and the digest of what will run. Executes nothing."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from douane import __version__
from douane.errors import PlanError
from douane.sandbox.executables import find_program
from douane.units import MiB

from .builtin import BUILT_IN, FILES_READER, PACKAGE
from .code_digest import digest_of_contents, digest_of_files
from .model import PluginSpec
from .module_files import loadable_files, module_files, package_folder, shared_package
from .modules import read_modules
from .path_grants import filled_in, is_path_target
from .regular_files import read_regular
from .source_scan import Kind, scan_kind

if TYPE_CHECKING:
    from .distributions import InstalledPlugin


class SourceFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A class in a file, which the runtime is sent as text."""

    path: str
    source: str
    attribute: str
    modules: dict[str, str] = {}
    """The file, or the folder with a slash at its end, of each module beside it, by name."""

    sources: dict[str, str] = {}
    """The texts of those modules, by path."""


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


_MAX_SOURCE = 16 * MiB
"""Length of the file of a class, which is parsed."""

_MAX_LISTED = 100
"""Names of installed plugins in an error."""

FORMAT = ModuleClass(*BUILT_IN["format"].split(":"))
READER = ModuleClass(*FILES_READER.split(":"))


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

    @property
    def is_files_reader(self) -> bool:
        """True for the reader of files, which is no plugin of a plan."""
        return self.target == READER

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
    version = None
    if use in BUILT_IN:
        use = BUILT_IN[use]
    elif ":" not in use:
        installed = _installed(plugin, sys_path)
        use, version = installed.use, installed.version
    module, _, attribute = use.rpartition(":")
    if not module or not attribute.isidentifier():
        raise PlanError(
            f"plugin {plugin.name!r}: use = {plugin.use!r} is not understood; write module:Class, "
            "path/to/file.py:Class, the name of an installed plugin, exec:PROGRAM or wire:PROGRAM"
        )
    if module.endswith(".py") or "/" in module:
        return _file(plugin, module, attribute)
    if plugin.modules:
        raise _modules_without_file(plugin)
    return _module(plugin, module, attribute, sys_path, version)


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
    if scheme == "exec" and (plugin.config or plugin.texts or plugin.python):
        raise PlanError(
            f"plugin {plugin.name!r}: a program takes its settings as arguments (use = 'exec:PROGRAM ARGS'); "
            "config and python are for Python plugins"
        )
    if scheme == "exec" and not all(is_path_target(target) for target in plugin.grants.values()):
        raise PlanError(
            f"plugin {plugin.name!r}: a program (exec:) can be granted files and folders (file:PATH, dir:PATH); "
            "connections are for Python plugins and wire:"
        )
    if plugin.modules:
        raise _modules_without_file(plugin)
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
    argv = (path, *filled_in(plugin, tuple(words[1:])))
    digest = digest_of_files(plugin, {path: path})
    return PluginCode(WireProgram(argv) if scheme == "wire" else ExecProgram(argv), digest)


def _installed(plugin: PluginSpec, sys_path: tuple[str, ...]) -> InstalledPlugin:
    """The plugin that a distribution registers under the name `use`. Raises PlanError."""
    if plugin.use.endswith(".py"):
        raise PlanError(f"plugin {plugin.name!r}: {plugin.use!r} names a file and no class; write {plugin.use}:CLASS")
    if "/" in plugin.use:
        raise PlanError(
            f"plugin {plugin.name!r}: {plugin.use!r} is a path; write exec:{plugin.use} if it is a program, "
            f"{plugin.use}:CLASS if it is a file in Python"
        )
    from .distributions import installed_plugins  # importlib.metadata takes 20 ms to import

    installed = installed_plugins(sys_path)
    if plugin.use in installed:
        return installed[plugin.use]
    where = f" for {plugin.python}" if plugin.python is not None else " in Douane's own interpreter"
    remedy = "" if plugin.python is not None else '. If it is installed in another one, set python = "PATH"'
    raise PlanError(
        f"plugin {plugin.name!r}: there is no installed plugin {plugin.use!r}{where}; installed are: "
        f"{', '.join(sorted({*BUILT_IN, *installed})[:_MAX_LISTED])}{remedy}"
    )


def _modules_without_file(plugin: PluginSpec) -> PlanError:
    return PlanError(
        f"plugin {plugin.name!r}: 'modules' lists what is beside a plugin in a file (use = \"file.py:Class\"); "
        f"{plugin.use!r} is none"
    )


def _file(plugin: PluginSpec, path: str, attribute: str) -> PluginCode:
    full = plugin.path(path)
    if plugin.modules:
        # The folder as the plugin will see it: `..` after a link leads elsewhere than its text says.
        folder, name = os.path.split(full)
        folder = os.path.realpath(folder) if ".." in folder.split("/") else os.path.abspath(folder)
        full = os.path.join(folder, name)
    try:
        content = _read(full)
        source = content.decode()
    except OSError as error:
        raise PlanError(f"plugin {plugin.name!r}: {full} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"plugin {plugin.name!r}: {full} is not UTF-8 text: {error.reason}") from error
    kind = scan_kind(source, attribute)
    if not plugin.modules:
        return PluginCode(SourceFile(full, source, attribute), hashlib.sha256(content).hexdigest(), kind)
    try:
        modules = read_modules(full, plugin.modules)
        target = SourceFile(full, source, attribute, modules.places, modules.sources())
    except PlanError as error:
        raise PlanError(f"plugin {plugin.name!r}: {error}") from error
    contents = {os.path.relpath(place, os.path.dirname(full)): data for place, data in modules.contents.items()}
    digest = digest_of_contents({**contents, os.path.basename(full): content})
    return PluginCode(target, digest, kind, read=modules.read)


def _module(
    plugin: PluginSpec, module: str, attribute: str, sys_path: tuple[str, ...], version: str | None
) -> PluginCode:
    origins = module_files(module, sys_path)
    origin = origins[-1] if origins else None
    if origin is None:
        raise PlanError(
            f"plugin {plugin.name!r}: there is no module {module!r} for its interpreter; install it there, "
            "or set python = to the interpreter that has it"
        )
    folder = package_folder(module, origin)
    try:
        files = loadable_files(folder) if folder else {os.path.basename(origin): origin}
        shared = shared_package(module, sys_path)
        if shared:
            files |= {f"{os.path.basename(shared)}/{name}": path for name, path in loadable_files(shared).items()}
    except PlanError as error:
        raise PlanError(f"plugin {plugin.name!r}: {error}") from error
    parents = [path for path in origins if path is not None and path not in files.values()]
    files |= {f"parent {number}": path for number, path in enumerate(parents)}  # they run before it
    kind = scan_kind(_read(origin).decode(errors="replace"), attribute) if origin.endswith(".py") else Kind()
    return PluginCode(
        ModuleClass(module, attribute),
        digest_of_files(plugin, files),
        kind,
        read=(folder,) if folder else (origin,),
        origin=origin,
        version=version or _version(module, origin, sys_path),
    )


def _version(module: str, origin: str, sys_path: tuple[str, ...]) -> str | None:
    if module.startswith(f"{PACKAGE}."):
        return __version__
    from .distributions import version_of

    return version_of(module, origin, sys_path)


def _read(path: str) -> bytes:
    return read_regular(path, _MAX_SOURCE)
