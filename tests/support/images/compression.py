"""Compressed images, by the libraries and programs that make real ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import lz4.frame

from .zip import zipped

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def lz4_full(data: bytes) -> bytes:
    """With all checksums and the length that a frame can have, and blocks that depend on each other."""
    return lz4.frame.compress(
        data, block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=True, block_checksum=True, content_checksum=True
    )


def zstd_checked(data: bytes) -> bytes:
    """With a checksum, which the module leaves out by default."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


SKIPPABLE = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello"

STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_SHA256, preset=0),
    "zstd": zstd_checked,
    "bzip2": bz2.compress,
    "lz4": lz4_full,
}
"""What may be concatenated, and has checksums."""

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    **STREAMS,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
    "zip": lambda data: zipped(("disk.img", data)),
}


def by_program(data: bytes, *command: str) -> bytes:
    """What a program makes of `data` in a pipe."""
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def raw_deflate(data: bytes) -> bytes:
    """Deflate without a container."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def xz_with_dictionary(data: bytes, size: int) -> bytes:
    """An .xz of `data` whose only block wants a dictionary of `size`: 2^n or 3 * 2^n (xz-file-format 5.3.1)."""
    packed = bytearray(lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]))
    packed[16] = next(bits for bits in range(40) if (2 | bits & 1) << bits // 2 + 11 == size)
    length = (packed[12] + 1) * 4
    packed[12 + length - 4 : 12 + length] = struct.pack("<I", zlib.crc32(packed[12 : 12 + length - 4]))
    return bytes(packed)


def lzma_with_dictionary(data: bytes, size: int) -> bytes:
    """An .lzma of `data` whose header wants a dictionary of `size`."""
    packed = lzma.compress(data, lzma.FORMAT_ALONE)
    return packed[:1] + struct.pack("<I", size) + packed[5:]


def zstd_with_window(data: bytes, size: int) -> bytes:
    """A frame without a content size, with a window of `size`, a power of two, and `data` as its only block."""
    window = bytes([size.bit_length() - 1 - 10 << 3])
    return b"\x28\xb5\x2f\xfd\x00" + window + struct.pack("<I", len(data) << 3 | 1)[:3] + data
