"""Folders: runs of up to 256 entries whose inodes lie in the same metadata block."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.errors import Broken

_RUN = struct.Struct("<III")
_ENTRY = struct.Struct("<HhHH")
_LONGEST_RUN = 256
_LONGEST = _ENTRY.size + 65536


def folder_entries(pieces: Iterator[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """The metadata block, the place in it, and the name of each entry. A folder is never in memory as a whole."""
    data, position, missing, start = b"", 0, 0, 0
    piece: bytes | None = b""
    while True:
        if piece is not None and len(data) - position < _LONGEST:
            piece = next(pieces, None)
            data, position = data[position:] + (piece or b""), 0
            continue
        if position == len(data):
            break
        if not missing:
            missing, start, _ = _RUN.unpack_from(data, position)
            if missing >= _LONGEST_RUN:
                raise Broken(f"a folder of the squashfs has a run of {missing + 1} entries")
            missing += 1
            position += _RUN.size
            continue
        offset, _, _, length = _ENTRY.unpack_from(data, position)
        position += _ENTRY.size + length + 1
        name = data[position - length - 1 : position]
        if position > len(data):
            raise Broken(f"a folder of the squashfs has the name {name!r}, which goes beyond it")
        missing -= 1
        yield start, offset, name
    if missing:
        raise Broken(f"a folder of the squashfs lacks {missing} entries")
