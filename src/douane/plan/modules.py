"""The files and folders beside a plugin's file that the operator lists as `modules`: read once, and never run here."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

import msgspec

from douane.errors import PlanError
from douane.units import MiB

from .module_files import MAX_DEPTH

MAX_FILES = 10_000
MAX_BYTES = 64 * MiB
"""All files of a plugin's `modules` together. They are read for each image; larger data is for a grant."""

_CACHES = "__pycache__"
"""Nothing of a plugin is loaded from it (`douane_plugin._load`), and other programs write to it."""


class Modules(msgspec.Struct, frozen=True):
    """What `modules` lists, read. Paths of folders end with a slash."""

    read: tuple[str, ...] = ()
    """The paths that the sandbox must show."""

    places: dict[str, str] = {}
    """The file or folder of each module that can be imported, by its name."""

    contents: dict[str, bytes] = {}
    """The content of each file, by its path."""

    def sources(self) -> dict[str, str]:
        """The text of each Python file, by its path. Raises PlanError, which does not name the plugin."""
        texts: dict[str, str] = {}
        for path, content in self.contents.items():
            if path.endswith(".py"):
                try:
                    texts[path] = content.decode()
                except UnicodeDecodeError as error:
                    raise PlanError(f"{path} is not UTF-8 text: {error.reason}") from error
        return texts


def read_modules(file: str, entries: tuple[str, ...]) -> Modules:
    """Read the `entries` of `modules`, which are beside the plugin's `file`. Raises PlanError without the name of the
    plugin: for a name that leaves the folder, for a link or a special file, and for what is missing or too large."""
    folder = os.path.dirname(file)
    places: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    read: list[str] = []
    room = MAX_BYTES
    for entry in entries:
        path = os.path.join(folder, _checked(entry, os.path.basename(file)))
        before = len(contents)
        is_folder = _is_folder(path)
        for file_path in _files(path) if is_folder else (path,):
            if len(contents) >= MAX_FILES:
                raise PlanError(f"'modules' covers more than {MAX_FILES} files; list what the plugin imports")
            contents[file_path] = _content(file_path, room)
            room -= len(contents[file_path])
        read.append(path)
        name = _module_name(os.path.basename(path), list(contents)[before:], is_folder=is_folder)
        if name is not None:
            _check_name(name, entry, places)
            places[name] = path + "/" if is_folder else path
    return Modules(tuple(read), places, contents)


def module_beside(file: str, name: str) -> str | None:
    """The entry of `modules` that would make the module `name` importable for the plugin in `file`; None if there is
    no such file or folder beside it."""
    if not name.isidentifier():
        return None
    folder = os.path.dirname(os.path.abspath(file))
    if os.path.isfile(os.path.join(folder, f"{name}.py")):
        return f"{name}.py"
    return f"{name}/" if os.path.isdir(os.path.join(folder, name)) else None


def _checked(entry: str, own: str) -> str:
    name = entry[:-1] if entry.endswith("/") else entry
    if not name or "/" in name or name in (".", "..", _CACHES):
        raise PlanError(
            f"'modules' lists names of files and folders beside the plugin's own file, such as helper.py or rules/, "
            f"not {entry!r:.100}"
        )
    if name == own:
        raise PlanError(f"'modules' lists {entry!r}, which is the plugin's own file")
    return name


def _is_folder(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise PlanError(f"'modules' lists {path}, which cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise _irregular(path)
    return stat.S_ISDIR(mode)


def _irregular(path: str) -> PlanError:
    return PlanError(
        f"'modules' covers {path}, which is a link or a special file: only regular files and folders can be shown to "
        "the plugin; copy it, or hand it over as a grant"
    )


def _files(folder: str, depth: int = 0) -> Iterator[str]:
    """The files in `folder` and below, in order. Raises PlanError for anything else."""
    if depth > MAX_DEPTH:
        raise PlanError(f"'modules' covers {folder}, which is more than {MAX_DEPTH} levels deep")
    try:
        with os.scandir(folder) as scan:
            listed = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise PlanError(f"'modules' covers {folder}, which cannot be read: {error.strerror}") from error
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != _CACHES:
                yield from _files(entry.path, depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path
        else:
            raise _irregular(entry.path)


def _content(path: str, room: int) -> bytes:
    try:
        # A link or a pipe that has just taken the place of the file: neither is followed, and neither blocks.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _irregular(path)
            content = file.read(room + 1)
    except OSError as error:
        raise PlanError(f"'modules' covers {path}, which cannot be read: {error.strerror}") from error
    if len(content) > room:
        raise PlanError(f"'modules' covers more than {MAX_BYTES >> 20} MiB; hand large data over as a grant")
    return content


def _module_name(name: str, files: list[str], *, is_folder: bool) -> str | None:
    """The name by which the plugin imports the file or folder `name`; None for one without code."""
    if is_folder:
        return name if name.isidentifier() and any(path.endswith((".py", ".pyc", ".so")) for path in files) else None
    if not name.endswith((".py", ".so")):
        return None
    stem = name.partition(".")[0]
    return stem if stem.isidentifier() else None


def _check_name(name: str, entry: str, places: dict[str, str]) -> None:
    if name in sys.stdlib_module_names or name == "douane_plugin":
        raise PlanError(
            f"'modules' lists {entry!r}, which would hide the module {name!r} that Python itself imports: rename it"
        )
    if name in places:
        raise PlanError(f"'modules' lists two modules named {name!r}: {places[name]} and {entry!r}")
