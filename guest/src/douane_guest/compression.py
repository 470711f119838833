"""Decompressors of blocks: the output is bounded before anything is decompressed, and whatever is wrong is Broken.

Each function takes the compressed bytes and `limit`, the largest output that the structure allows.
"""

from __future__ import annotations

import importlib
import lzma
import zlib
from typing import Any

from . import lz4block
from .errors import Broken, Unsupported

LZMA_MEMORY = 96 << 20
"""For the dictionary of a stream, which is allocated at once."""


def library(*names: str) -> Any:
    """The first module of these that is installed, None if none is."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


LZ4 = library("lz4.block")
ZSTD = library("compression.zstd", "backports.zstd")


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
    if ZSTD is None:
        raise Unsupported("it is compressed with zstd, and no library for that is installed")
    log = ZSTD.DecompressionParameter.window_log_max
    stream = ZSTD.ZstdDecompressor(options={log: max(limit.bit_length(), 17)})
    try:
        output = stream.decompress(data, limit + 1)
    except (ZSTD.ZstdError, EOFError) as error:
        raise Broken(f"a block of zstd is damaged: {error}") from error
    if not padded and stream.unused_data:
        raise Broken("bytes follow the frame in a block of zstd")
    return checked_output(output, limit, stream.eof)


def unlz4(data: bytes, limit: int) -> bytes:
    """A bare block of LZ4, which ends where `data` ends."""
    if LZ4 is None:
        return lz4block.decompress(data, limit)
    try:
        output: bytes = LZ4.decompress(data, uncompressed_size=limit)
    except (LZ4.LZ4BlockError, ValueError) as error:
        raise Broken(f"a block of lz4 is damaged: {error}") from error
    return output


def checked_output(output: bytes, limit: int, ended: bool) -> bytes:
    """Raises Broken for an output that is too long, or whose stream has no end."""
    if len(output) > limit:
        raise Broken(f"a block becomes larger than the {limit} bytes that it may have")
    if not ended:
        raise Broken("a compressed block has no end")
    return output
