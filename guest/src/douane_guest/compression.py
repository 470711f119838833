"""Decompressors of blocks: the output is bounded before anything is decompressed, and whatever is wrong is Broken.

Each function takes the compressed bytes and `limit`, the largest output that the structure allows.
"""

from __future__ import annotations

import functools
import importlib
import lzma
import zlib
from typing import Any, NamedTuple

from . import lz4block
from .errors import Broken, Unsupported

LZMA_MEMORY = 96 << 20
"""For the dictionary of a stream, which is allocated at once."""


@functools.cache
def library(*names: str) -> Any:
    """The first module of these that is installed, None if none is. Imported when it is needed: both together take
    longer than the packages of a disk."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


class Frame(NamedTuple):
    """What was read of a frame of zstd."""

    output: bytes
    is_whole: bool
    rest: bytes
    """What follows the frame, if it is whole."""


def inflate(data: bytes, limit: int, *, wbits: int = zlib.MAX_WBITS) -> bytes:
    """A zlib stream; with `wbits` -15 a bare deflate stream."""
    stream = zlib.decompressobj(wbits)
    try:
        output = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise Broken(f"a block of zlib is damaged: {error}") from error
    return checked_output(output, limit, stream.eof)


def unxz(data: bytes, limit: int) -> bytes:
    """An .xz stream, with any of its filters."""
    return un_lzma(lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=LZMA_MEMORY), data, limit)


def un_lzma(stream: lzma.LZMADecompressor, data: bytes, limit: int) -> bytes:
    """What a decompressor of `lzma` makes of a stream that has an end."""
    try:
        output = stream.decompress(data, limit + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise Broken(f"a block of lzma is damaged: {error}") from error
    return checked_output(output, limit, stream.eof)


def unzstd(data: bytes, limit: int, *, padded: bool = False) -> bytes:
    """One zstd frame. `padded`: zeros may follow it."""
    frame = zstd_frame(data, limit + 1, max(limit.bit_length(), 17))
    if not padded and frame.rest:
        raise Broken("bytes follow the frame in a block of zstd")
    return checked_output(frame.output, limit, frame.is_whole)


def zstd_frame(data: bytes, most: int, window_log: int) -> Frame:
    """The first `most` bytes of the first frame in `data`. A frame with a larger window than 2^`window_log` bytes,
    which the decoder allocates, is Broken."""
    zstd = library("compression.zstd", "backports.zstd")
    if zstd is None:
        raise Unsupported("it is compressed with zstd, for which Python before 3.14 needs backports.zstd")
    stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})
    try:
        output = stream.decompress(data, most)
    except (zstd.ZstdError, EOFError) as error:
        raise Broken(f"a block of zstd is damaged: {error}") from error
    return Frame(output, stream.eof, stream.unused_data)


def unlz4(data: bytes, limit: int) -> bytes:
    """A bare block of LZ4, which ends where `data` ends."""
    lz4 = library("lz4.block")
    if lz4 is None:
        return lz4block.decompress(data, limit)
    try:
        output: bytes = lz4.decompress(data, uncompressed_size=limit)
    except (lz4.LZ4BlockError, ValueError) as error:
        raise Broken(f"a block of lz4 is damaged: {error}") from error
    return output


def checked_output(output: bytes, limit: int, ended: bool) -> bytes:
    """Raises Broken for an output that is too long, or whose stream has no end."""
    if len(output) > limit:
        raise Broken(f"a block becomes larger than the {limit} bytes that it may have")
    if not ended:
        raise Broken("a compressed block has no end")
    return output
