"""Files that the Windows Overlay Filter keeps compressed: CompactOS, and most system files of Windows 10 and later.

Their bytes are in the stream `WofCompressedData`: where each piece but the first begins, then the pieces, as a resource
of a WIM image has them. The stream without a name is a hole with the size of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported

from . import lzx, xpress
from .mft import File
from .record import Type
from .stream import Disk, Map, size_of

STREAM = "WofCompressedData"
_FIELDS = struct.Struct("<IIII")
_FILES, _VERSION = 2, 1
_LARGE = 1 << 32
_STEP = 64
"""Bytes that take a step."""


class Method(NamedTuple):
    """How pieces are packed."""

    piece: int
    decompress: Callable[[bytes, int], bytes]


METHODS = {
    0: Method(4096, xpress.decompress),
    1: Method(lzx.WINDOW, lzx.decompress),
    2: Method(8192, xpress.decompress),
    3: Method(16384, xpress.decompress),
}


def method(body: bytes) -> Method:
    """From the reparse point. Raises Unsupported for files whose bytes are in a WIM image, and for other versions."""
    version, provider, files_version, number = _FIELDS.unpack_from(body.ljust(_FIELDS.size, b"\0"))
    if version != _VERSION or provider != _FILES or files_version != _VERSION or number not in METHODS:
        raise Unsupported("the file's bytes are kept by the Windows Overlay Filter in a way that is not read")
    return METHODS[number]


def chunks(disk: Disk, file: File, packing: Method, start: int) -> Iterator[tuple[int, bytes]]:
    """The bytes of the file, as `chunks` of a file system gives them."""
    size = size_of(file.parts(Type.DATA))
    stream = file.parts(Type.DATA, STREAM)
    if start >= size:
        return
    if not stream or stream[0].flags:
        raise Broken(f"a file of the Windows Overlay Filter has no stream {STREAM}, or one that is compressed again")
    packed, piece = Map(disk, stream), packing.piece
    count = -(-size // piece)
    width = 8 if size >= _LARGE else 4
    table = (count - 1) * width

    def begin(number: int) -> int:
        if number in (0, count):
            return packed.size - table if number else 0
        return int.from_bytes(packed.read((number - 1) * width, width), "little")

    first = start // piece
    place = begin(first)
    for number in range(first, count):
        following, length = begin(number + 1), min(piece, size - number * piece)
        if not 0 < following - place <= length:
            raise Broken("the pieces of a file of the Windows Overlay Filter do not follow each other")
        disk.budget.step(length // _STEP)
        data = packed.read(table + place, following - place)
        yield number * piece, data if len(data) == length else packing.decompress(data, length)
        place = following
