"""The files in a header of rpm.

Source: rpm's docs/manual/tags.md and "Package Header format". A path is a folder of ``DIRNAMES``, by its number in
``DIRINDEXES``, and a name of ``BASENAMES``; packages that were made before rpm 4.0 have whole paths, ``OLDFILENAMES``.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch

from .rpm import Field, fields_of

MAX_FILES = 1 << 18
"""Of a package; the largest ones have 100,000."""

_OLD_PATHS, _DIGESTS, _FLAGS, _INDEXES, _NAMES, _FOLDERS, _ALGORITHM = 1027, 1035, 1037, 1116, 1117, 1118, 5011
_ALGORITHMS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512"}
"""By the numbers of OpenPGP; packages without one have MD5."""

_NUMBERS, _TEXTS = 4, 8
_GHOST = 1 << 6
"""The flag of a file that the package owns and does not bring (rpm's ``RPMFILE_GHOST``)."""


class File(NamedTuple):
    """A file of a package."""

    path: bytes
    algorithm: str
    """As in `hashlib`; empty if it has another one."""

    digest: bytes
    """Empty for what is no file, such as a folder."""


def files_in(blob: bytes, folders: Collection[bytes], budget: Budget) -> Iterator[File]:
    """The package's files in some folders, whose names end with a slash. Raises Broken, TooMuch."""
    fields, data = fields_of(blob, (_OLD_PATHS, _DIGESTS, _FLAGS, _INDEXES, _NAMES, _FOLDERS, _ALGORITHM))
    if _OLD_PATHS in fields:
        paths = [_parts(path) for path in _texts(data, fields[_OLD_PATHS], budget)]
    elif _NAMES in fields:
        paths = _paths(fields, data, folders, budget)
    else:
        return
    if not any(folder in folders for folder, _ in paths):
        return
    digests = _texts(data, fields[_DIGESTS], budget) if _DIGESTS in fields else [b""] * len(paths)
    flags = _numbers(data, fields[_FLAGS], budget) if _FLAGS in fields else (0,) * len(paths)
    if not len(paths) == len(digests) == len(flags):
        raise Broken("the list of files of a header of rpm contradicts itself")
    number = _numbers(data, fields[_ALGORITHM], budget)[0] if _ALGORITHM in fields else 1
    for (folder, name), digest, flag in zip(paths, digests, flags, strict=True):
        if folder in folders and not flag & _GHOST:
            yield File(folder + name, _ALGORITHMS.get(number, ""), _from_hex(digest))


def _paths(
    fields: dict[int, Field], data: bytes, folders: Collection[bytes], budget: Budget
) -> list[tuple[bytes, bytes]]:
    """Folders and names of the files; none if no file is in the folders."""
    if _FOLDERS not in fields or _INDEXES not in fields:
        raise Broken("a header of rpm has files without folders")
    parents = _texts(data, fields[_FOLDERS], budget)
    if not any(parent in folders for parent in parents):
        return []
    names = _texts(data, fields[_NAMES], budget)
    indexes = _numbers(data, fields[_INDEXES], budget)
    if len(names) != len(indexes) or max(indexes) >= len(parents):
        raise Broken("the list of files of a header of rpm contradicts itself")
    return [(parents[index], name) for name, index in zip(names, indexes, strict=True)]


def _parts(path: bytes) -> tuple[bytes, bytes]:
    folder, slash, name = path.rpartition(b"/")
    return folder + slash, name


def _from_hex(digest: bytes) -> bytes:
    try:
        return bytes.fromhex(digest.decode("ascii"))
    except ValueError:
        return b""


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
