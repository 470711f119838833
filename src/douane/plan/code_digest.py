"""The digest of the code that a plugin runs."""

from __future__ import annotations

import hashlib
import os

from douane.errors import PlanError
from douane.units import GiB

from .model import PluginSpec
from .regular_files import parts_of_regular

_MAX_CODE = 16 * GiB
"""Length of all files whose digest is taken: a package may have large libraries."""


def digest_of_files(plugin: PluginSpec, files: dict[str, str]) -> str:
    """The digest of the contents of `files`, by the names that tell them apart."""
    total, room = hashlib.sha256(), _MAX_CODE
    for name, path in sorted(files.items()):
        try:
            size, parts = parts_of_regular(path, room)
            room -= size
            if len(files) > 1:
                total.update(_heading(name, size))
            for part in parts:
                total.update(part)
        except OSError as error:
            raise PlanError(f"plugin {plugin.name!r}: {path} cannot be read: {error.strerror}") from error
    return total.hexdigest()


def digest_of_contents(contents: dict[str, bytes]) -> str:
    """The same, of contents that have been read."""
    total = hashlib.sha256()
    for name, content in sorted(contents.items()):
        if len(contents) > 1:
            total.update(_heading(name, len(content)))
        total.update(content)
    return total.hexdigest()


def _heading(name: str, size: int) -> bytes:
    return os.fsencode(f"{name}\0{size}\0")
