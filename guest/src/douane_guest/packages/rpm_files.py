"""The files in a header of rpm.

Source: rpm's docs/manual/tags.md and "Package Header format". A path is a folder of ``DIRNAMES``, by its number in
``DIRINDEXES``, and a name of ``BASENAMES``; packages that were made before rpm 4.0 have whole paths, ``OLDFILENAMES``.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch

from .rpm import Field, fields_of

MAX_FILES = 1 << 18
"""Of a package; the largest ones have 100,000."""

_OLD_PATHS, _FLAGS, _INDEXES, _NAMES, _FOLDERS = 1027, 1037, 1116, 1117, 1118
_NUMBERS, _TEXTS = 4, 8
_GHOST = 1 << 6
"""The flag of a file that the package owns and does not bring (rpm's ``RPMFILE_GHOST``)."""


def files_in(blob: bytes, folders: Collection[bytes], budget: Budget) -> Iterator[bytes]:
    """The paths of the package's files in some folders, whose names end with a slash. Raises Broken, TooMuch."""
    fields, data = fields_of(blob, (_OLD_PATHS, _FLAGS, _INDEXES, _NAMES, _FOLDERS))
    if _OLD_PATHS in fields:
        paths = _texts(data, fields[_OLD_PATHS], budget)
        yield from (path for path in paths if path[: path.rfind(b"/") + 1] in folders)
    if _NAMES not in fields:
        return
    if _FOLDERS not in fields or _INDEXES not in fields:
        raise Broken("a header of rpm has files without folders")
    parents = _texts(data, fields[_FOLDERS], budget)
    if not any(parent in folders for parent in parents):
        return
    names = _texts(data, fields[_NAMES], budget)
    indexes = _numbers(data, fields[_INDEXES], budget)
    flags = _numbers(data, fields[_FLAGS], budget) if _FLAGS in fields else (0,) * len(names)
    if not len(names) == len(indexes) == len(flags) or max(indexes) >= len(parents):
        raise Broken("the list of files of a header of rpm contradicts itself")
    for name, index, flag in zip(names, indexes, flags, strict=True):
        if parents[index] in folders and not flag & _GHOST:
            yield parents[index] + name


def _texts(data: bytes, field: Field, budget: Budget) -> list[bytes]:
    _check(field, _TEXTS, budget)
    parts = data[field.offset :].split(b"\0", field.number)
    if len(parts) <= field.number:
        raise Broken("a list of files of a header of rpm ends before its last name")
    return parts[:-1]


def _numbers(data: bytes, field: Field, budget: Budget) -> tuple[int, ...]:
    _check(field, _NUMBERS, budget)
    if field.offset + 4 * field.number > len(data):
        raise Broken("a list of files of a header of rpm ends before its last number")
    return struct.unpack_from(f">{field.number}I", data, field.offset)


def _check(field: Field, kind: int, budget: Budget) -> None:
    if field.kind != kind:
        raise Broken(f"a list of files of a header of rpm is of the kind {field.kind}")
    if field.number > MAX_FILES:
        raise TooMuch(f"a package of rpm has {field.number} files, more than the {MAX_FILES} that are read")
    budget.step(field.number)
