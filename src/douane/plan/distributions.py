"""The distributions installed for an interpreter: their entry points and versions, read from their metadata.

importlib.metadata parses the files of the folders `*.dist-info`, which may be any author's: regular files of a bounded
length are read, and nothing else is opened. No code of theirs runs in the engine.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import urllib.parse
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

import msgspec

from douane.units import MiB

from .regular_files import read_regular

GROUP = "douane.plugins"
"""The group of entry points in which distributions register plugins."""

_MAX_NAME = _MAX_VERSION = 100
_MAX_PLUGINS = 1000
"""Entry points of the group in one distribution."""

_DESCRIBED = ("METADATA", "PKG-INFO")
_MAX_DESCRIPTION = 1 << 16
"""Bytes that are read of METADATA, whose first lines have the version and whose end is a text for readers."""

_MAX_FILE = 16 * MiB
"""Of RECORD, which has 1 MiB for 10,000 files."""

_MALFORMED = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading metadata raises for files that are missing, or not as they should be."""


class InstalledPlugin(msgspec.Struct, frozen=True):
    """An entry point of the group."""

    name: str
    use: str
    """``module:Class``."""

    version: str | None
    """The version of its distribution."""


def installed_plugins(sys_path: tuple[str, ...]) -> dict[str, InstalledPlugin]:
    """The plugins that are installed in the folders of `sys_path`, by name; of two, the first on the path."""
    return _installed_plugins(_place(sys_path))


def version_of(module: str, origin: str, sys_path: tuple[str, ...]) -> str | None:
    """The version of the distribution that installed the file `origin` of `module`; None if there is none."""
    return _version_of(module, origin, _place(sys_path))


class _Place(msgspec.Struct, frozen=True):
    """Folders, with the times of their last change: installing a distribution makes a folder, or removes one."""

    folders: tuple[str, ...]
    times: tuple[int, ...]


def _place(sys_path: tuple[str, ...]) -> _Place:
    times = []
    for folder in sys_path:
        try:
            times.append(os.stat(folder).st_mtime_ns)
        except OSError:
            times.append(0)
    return _Place(sys_path, tuple(times))


@functools.lru_cache(maxsize=16)
def _installed_plugins(place: _Place) -> dict[str, InstalledPlugin]:
    plugins: dict[str, InstalledPlugin] = {}
    for distribution in _distributions(place.folders):
        entries = _entry_points(distribution)
        version = _version(distribution) if entries else None
        for entry in entries:
            try:
                plugin = InstalledPlugin(entry.name, f"{entry.module}:{entry.attr}", version)
            except _MALFORMED:
                continue
            if len(plugin.name) <= _MAX_NAME and plugin.name.isprintable() and plugin.use.isprintable():
                plugins.setdefault(plugin.name, plugin)
    return plugins


def _entry_points(distribution: Distribution) -> list[EntryPoint]:
    try:
        return list(itertools.islice(distribution.entry_points.select(group=GROUP), _MAX_PLUGINS))
    except _MALFORMED:
        return []  # its plugins are not found; the error about that names those that are


@functools.lru_cache(maxsize=256)
def _version_of(module: str, origin: str, place: _Place) -> str | None:
    installed = list(_distributions(place.folders))
    for distribution in installed:
        if _has_installed(distribution, module, origin):
            return _version(distribution)
    if any(origin.startswith(_folder(distribution)) for distribution in installed):
        return None  # a virtual environment may be in the folder of a distribution that is being developed
    developed = {folder: distribution for distribution in installed if (folder := _developed_in(distribution))}
    folders = [folder for folder in developed if origin.startswith(os.path.join(folder, ""))]
    return _version(developed[max(folders, key=len)]) if folders else None


class _Installed(Distribution):
    """The distribution with its metadata in the folder, or the file, `place`."""

    def __init__(self, place: str) -> None:
        self._place = place

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        """The text of a file of the metadata; None if it is missing. Raises OSError, UnicodeDecodeError."""
        name = os.fspath(filename)
        is_description = name in _DESCRIBED or not name
        try:
            content = read_regular(
                os.path.join(self._place, name) if name else self._place,
                _MAX_DESCRIPTION if is_description else _MAX_FILE,
                is_cut=is_description,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        return content.decode(errors="replace" if is_description else "strict")

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        """Where the file `path` of the distribution is."""
        return Path(self._place).parent / path


def _distributions(folders: tuple[str, ...]) -> Iterator[_Installed]:
    for folder in folders:
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(folder)):
                is_egg = folder.endswith(".egg") and name == "EGG-INFO"
                if name.endswith((".dist-info", ".egg-info")) or is_egg:
                    yield _Installed(os.path.join(folder, name))


def _folder(distribution: Distribution) -> str:
    """The folder with the metadata, which paths in them begin at; with a slash at its end."""
    return os.path.join(os.path.abspath(str(distribution.locate_file(""))), "")


def _has_installed(distribution: Distribution, module: str, origin: str) -> bool:
    """True if the metadata of `distribution` name the file `origin`."""
    folder = _folder(distribution)
    if not origin.startswith(folder):
        return False
    try:
        record = distribution.read_text("RECORD")
        if record is not None:
            return f"\n{origin.removeprefix(folder)}," in f"\n{record}"
        # Packages of Linux distributions and old installers have no RECORD (PEP 627).
        return module.partition(".")[0] in (distribution.read_text("top_level.txt") or "").split()
    except _MALFORMED:
        return False


class _DirectUrl(msgspec.Struct):
    """direct_url.json (PEP 610)."""

    url: str = ""
    dir_info: dict[str, bool] = {}


def _developed_in(distribution: Distribution) -> str | None:
    """The folder of an editable installation."""
    try:
        source = msgspec.json.decode(distribution.read_text("direct_url.json") or "{}", type=_DirectUrl)
        parts = urllib.parse.urlsplit(source.url)
    except _MALFORMED:
        return None
    is_folder = parts.scheme == "file" and source.dir_info.get("editable", False)
    return urllib.parse.unquote(parts.path) if is_folder else None


def _version(distribution: Distribution) -> str | None:
    try:
        version = distribution.version
    except _MALFORMED:
        return None
    is_text = isinstance(version, str) and version.isprintable() and version
    return version[:_MAX_VERSION] if is_text else None
