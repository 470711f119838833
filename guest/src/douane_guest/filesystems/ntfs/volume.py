"""Whether the volume was unmounted: its flag, its log, and a Windows that sleeps."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.errors import Broken
from douane_guest.filesystems.base import Unread

from .mft import File, Table
from .record import Type, restore
from .stream import Disk, pieces

LOG, VOLUME, ROOT, UPCASE = 2, 3, 5, 10
_FLAGS = struct.Struct("<10xH")
_DIRTY, _BEING_CHECKED = 0x1, 0x4000
_PAGES = (4096, 8192, 16384, 32768, 65536)
_PAGE = struct.Struct("<4sHHQIIH")
_AREA = struct.Struct("<QHHHH")
_NO_CLIENT, _UNMOUNTED = 0xFFFF, 2
_HEAD = 128 << 10
_UNCLEAN = "guest-unclean"
_SLEEPS = (b"hibr", b"rstr", b"horm")
"""How the file begins with the memory of a Windows that sleeps, that was waking up, or that wakes up from the same
memory again and again (Hibernate Once, Resume Many). Of one that woke up it begins with ``wake``, or with zeros."""


def troubles(disk: Disk, table: Table, volume: File, hibernation: File | None) -> Iterator[Unread]:
    """Why files may be other than what the guest will see."""
    information = volume.value(Type.VOLUME_INFORMATION) or b""
    if len(information) < _FLAGS.size:
        yield Unread("$Volume", _UNCLEAN, "NTFS does not say whether it is dirty: the guest will repair it")
    elif _FLAGS.unpack_from(information)[0] & (_DIRTY | _BEING_CHECKED):
        yield Unread("$Volume", _UNCLEAN, "NTFS is marked as dirty: the guest will repair it when it starts")
    log = _head(disk, table.file(LOG), _HEAD)
    if not _log_is_closed(log):
        yield Unread("$LogFile", _UNCLEAN, "NTFS was not unmounted, and the changes in its log are not read")
    if hibernation is not None and _head(disk, hibernation, 4).lower() in _SLEEPS:
        yield Unread(
            "hiberfil.sys", _UNCLEAN, "Windows hibernates: it will go on with what its memory had of the files"
        )


def _head(disk: Disk, file: File, count: int) -> bytes:
    """The first bytes of a file."""
    data = bytearray(count)
    for offset, piece in pieces(disk, file.parts(Type.DATA)):
        if offset >= count:
            break
        data[offset : offset + len(piece)] = piece[: count - offset]
    return bytes(data)


def _log_is_closed(log: bytes) -> bool:
    """The newer of the two restart pages says that nobody uses the log; a log of ones was never used.

    A restart page that is torn was being written when the volume was cut off.
    """
    if log == b"\xff" * len(log):
        return True
    try:
        areas = [area for place in (0, *_PAGES) if (area := _area(log, place))]
    except Broken:
        return False
    if not areas:
        return False
    _, _, _, client, flags = max(areas)
    return client == _NO_CLIENT or bool(flags & _UNMOUNTED)


def _area(log: bytes, place: int) -> tuple[int, int, int, int, int] | None:
    """The restart area of a page, if a restart page begins there. Raises Broken if it is torn, or damaged."""
    magic, _, _, _, size, _, offset = _PAGE.unpack_from(log, place)
    if magic not in (b"RSTR", b"CHKD"):
        return None
    if size not in _PAGES or offset & 7 or offset > size - _AREA.size:
        raise Broken("a restart page of the log of NTFS has no restart area")
    return _AREA.unpack_from(restore(log[place : place + size], magic), offset)
