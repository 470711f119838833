"""The compressed pieces of files: where they are, and what they become."""

from __future__ import annotations

import lzma
import zlib

from douane_guest import lz4block
from douane_guest.compression import unlz4, zstd_frame
from douane_guest.errors import Broken, Unsupported

from .index import HEAD2, Extent, Map

LARGEST_STORED = 1 << 20
LARGEST_OUTPUT = 12 << 20
"""Linux refuses more (Z_EROFS_PCLUSTER_MAX_DSIZE)."""

LZ4_ALGORITHM, LZMA, DEFLATE, ZSTD_ALGORITHM = range(4)
LARGEST_DICTIONARY = 8 << 20


def check_extent(extent: Extent) -> None:
    """Raises Broken for a piece that Linux would not read either."""
    if extent.stored > LARGEST_STORED or extent.size > LARGEST_OUTPUT:
        raise Broken(f"a piece of the erofs has {extent.stored} bytes and becomes {extent.size}: too many")


def plain(data: bytes, extent: Extent, block_size: int, *, interlaced: bool) -> bytes:
    """A piece that is not compressed. `interlaced`: its bytes stand at the offset in the block that they have in the
    file, and go on at the beginning of the block."""
    if extent.size > len(data):
        raise Broken("a piece of the erofs that is not compressed is shorter than what it stands for")
    if not interlaced:
        return data[: extent.size]
    skipped = extent.start % block_size
    first = data[skipped : min(block_size, skipped + extent.size)]
    return first + data[: extent.size - len(first)]


def algorithm_of(extent: Extent, table: Map) -> int:
    return table.algorithms[1 if extent.kind == HEAD2 else 0]


def decompress(algorithm: int, data: bytes, size: int, *, padded: bool, partly: bool) -> bytes:
    """Exactly `size` bytes. `padded`: zeros stand before the compressed bytes, else behind them. `partly`: the piece
    holds more. Raises Broken and Unsupported."""
    if padded or algorithm != LZ4_ALGORITHM:
        data = data.lstrip(b"\0")
    if not data:
        raise Broken("a compressed piece of the erofs has nothing but zeros")
    if algorithm == LZ4_ALGORITHM:
        output = lz4block.decompress(data, size, partly=True) if partly or not padded else unlz4(data, size)
    elif algorithm == LZMA:
        output = micro_lzma(data, size)
    elif algorithm == DEFLATE:
        output = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)
    elif algorithm == ZSTD_ALGORITHM:
        output = zstd(data, size)
    else:
        raise Unsupported(f"the erofs has the compression {algorithm}, which is not known")
    if len(output) != size:
        raise Broken(f"a compressed piece of the erofs has {len(output)} bytes instead of {size}")
    return output


def micro_lzma(data: bytes, size: int) -> bytes:
    """A stream of LZMA whose first byte, which is always zero, is replaced with the inverted properties
    (lzma_microlzma_encoder of liblzma)."""
    properties = data[0] ^ 0xFF
    position_bits, rest = divmod(properties, 45)
    literal_position, literal_context = divmod(rest, 9)
    if position_bits > 4 or literal_position + literal_context > 4:
        raise Broken("a piece of the erofs has properties of LZMA that do not exist")
    options = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": min(max(size, 4096), LARGEST_DICTIONARY),
        "lc": literal_context,
        "lp": literal_position,
        "pb": position_bits,
    }
    stream = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=[options])
    return stream.decompress(b"\0" + data[1:], size)


def zstd(data: bytes, size: int) -> bytes:
    """The first `size` bytes of a frame."""
    return zstd_frame(data, size, max(LARGEST_STORED.bit_length(), size.bit_length())).output
