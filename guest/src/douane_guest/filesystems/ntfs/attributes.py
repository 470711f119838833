"""Small attributes of a file: times, links, extended attributes, and what Linux keeps in them."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken

from . import reparse as points
from .mft import File
from .record import Attribute, Type
from .stream import Disk, pieces, size_of

_EPOCH = 116_444_736_000_000_000
"""1970 in units of 100 nanoseconds since 1601."""

_EXTENDED = struct.Struct("<IBBH")
_MOST_EXTENDED = 64 << 10
_DOS_PLACE, _DOS = 65, 2


class Basic(NamedTuple):
    """Of a file."""

    mtime_ns: int
    links: int


class Linux(NamedTuple):
    """What the Linux subsystem of Windows, ntfs3 and ntfs-3g keep of a file."""

    owner: tuple[int, int, int] | None
    """Mode, owner and group; None unless all three are there, as ntfs3 wants it."""

    device: tuple[int, int] | None


_NOTHING_OF_LINUX = Linux(None, None)


def basic(file: File) -> Basic:
    """The time of the last change, and the number of names without those that are for DOS alone."""
    value = file.value(Type.STANDARD_INFORMATION)
    if value is None or len(value) < 16:
        raise Broken(f"record {file.record.number} of NTFS has no times")
    names = [one.value for one in file.parts(Type.FILE_NAME) if one.value]
    links = sum(len(name) > _DOS_PLACE and name[_DOS_PLACE] != _DOS for name in names)
    return tuple.__new__(Basic, ((int.from_bytes(value[8:16], "little") - _EPOCH) * 100, max(1, links)))


def reparse(disk: Disk, file: File) -> points.Reparse | None:
    """The reparse point, if the file is one."""
    parts = file.parts(Type.REPARSE_POINT)
    return points.parse(_small(disk, parts, "a reparse point")) if parts else None


def extended(disk: Disk, file: File) -> dict[bytes, bytes]:
    """The extended attributes."""
    parts = file.parts(Type.EA)
    data = _small(disk, parts, "extended attributes") if parts else b""
    values: dict[bytes, bytes] = {}
    place = 0
    while place + _EXTENDED.size < len(data):
        after, _, name_length, value_length = _EXTENDED.unpack_from(data, place)
        start = place + _EXTENDED.size
        middle = start + name_length + 1
        if middle + value_length > len(data) or not name_length or (after and after < middle + value_length - place):
            raise Broken("the extended attributes of a file of NTFS are damaged")
        values[data[start : middle - 1]] = data[middle : middle + value_length]
        if not after:
            break
        place += after
    return values


def linux(disk: Disk, file: File) -> Linux:
    """From the extended attributes."""
    if not file.parts(Type.EA):
        return _NOTHING_OF_LINUX
    values = extended(disk, file)
    mode, uid, gid = (values.get(name, b"") for name in (b"$LXMOD", b"$LXUID", b"$LXGID"))
    device = values.get(b"$LXDEV", b"")
    return Linux(
        struct.unpack("<III", mode + uid + gid) if len(mode) == len(uid) == len(gid) == 4 else None,
        struct.unpack("<II", device) if len(device) == 8 else None,
    )


def _small(disk: Disk, parts: list[Attribute], what: str) -> bytes:
    """The whole attribute."""
    size = size_of(parts)
    if size > _MOST_EXTENDED:
        raise Broken(f"{what} of a file of NTFS has {size} bytes")
    data = bytearray(size)
    for offset, piece in pieces(disk, parts):
        data[offset : offset + len(piece)] = piece
    return bytes(data)
