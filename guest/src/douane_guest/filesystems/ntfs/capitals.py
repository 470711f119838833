"""The table of capital letters, by which the names in folders are compared."""

from __future__ import annotations

import struct

from douane_guest.errors import Broken
from douane_guest.filesystems.folding import UNITS, Key, by_table, capitals_of

from .mft import File
from .record import Type
from .stream import Disk, pieces, size_of


def read(disk: Disk, file: File) -> Key:
    """From the file `$UpCase`."""
    parts = file.parts(Type.DATA)
    if size_of(parts) != 2 * UNITS:
        raise Broken(f"the table of capital letters of NTFS has {size_of(parts)} bytes")
    data = bytearray(2 * UNITS)
    for offset, piece in pieces(disk, parts):
        data[offset : offset + len(piece)] = piece
    return by_table(capitals_of(struct.unpack(f"<{UNITS}H", data)))
