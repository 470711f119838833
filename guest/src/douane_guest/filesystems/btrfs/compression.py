"""Compressed extents: fs/btrfs/{zlib,lzo,zstd}.c describe what is in one."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from douane_guest import lzo
from douane_guest.compression import zstd_frame
from douane_guest.errors import Broken, Unsupported

MAX_EXTENT = 128 << 10
"""Bytes of an extent, before and after compression: BTRFS_MAX_UNCOMPRESSED, BTRFS_MAX_COMPRESSED."""

_WORD = 4
_WINDOW_LOG = 17


def decompress(kind: int, data: bytes, size: int, sector_size: int) -> bytes:
    """`size` bytes; zeros follow a stream that has fewer, as in the kernel. Raises Broken for a damaged stream."""
    if kind == _LZO:
        output = _lzo(data, size, sector_size)
    elif kind in _DECODERS:
        output = _DECODERS[kind](data, size)
    else:
        raise Unsupported(f"a file has a compression that is not known: {kind}")
    return output.ljust(size, b"\0")


def _zlib(data: bytes, size: int) -> bytes:
    decoder = zlib.decompressobj()
    try:
        output = decoder.decompress(data, size)
    except zlib.error as error:
        raise Broken(f"a compressed extent is damaged: {error}") from None
    if len(output) < size and not decoder.eof:
        raise Broken("a compressed extent ends within its stream")
    return output


def _zstd(data: bytes, size: int) -> bytes:
    frame = zstd_frame(data, size, _WINDOW_LOG)
    if len(frame.output) < size and not frame.is_whole:
        raise Broken("a compressed extent ends within its stream")
    return frame.output


def _lzo(data: bytes, size: int, sector_size: int) -> bytes:
    """The length of everything, then segments with their lengths, each of a sector; no length crosses a sector."""
    end = int.from_bytes(data[:_WORD], "little")
    if not _WORD <= end <= len(data):
        raise Broken(f"a compressed extent of {len(data)} bytes says that it has {end}")
    pieces = []
    position = _WORD
    while position < end and size > 0:
        rest = -position % sector_size
        if rest < _WORD:
            position += rest
        length = int.from_bytes(data[position : position + _WORD], "little")
        position += _WORD
        if not length or position + length > end:
            raise Broken(f"a segment of a compressed extent has {length} bytes at {position} of {end}")
        piece = lzo.decompress(data[position : position + length], sector_size)
        pieces.append(piece[:size])
        size -= len(piece)
        position += length
    return b"".join(pieces)


_DECODERS: dict[int, Callable[[bytes, int], bytes]] = {1: _zlib, 3: _zstd}
_LZO = 2
