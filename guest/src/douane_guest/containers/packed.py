"""Packed blocks: zlib and zstd, never more output than a block."""

from __future__ import annotations

import zlib

from douane_guest.compression import zstd_frame
from douane_guest.errors import Broken

MAX_FRAMES = 64
"""Of a cluster: qemu writes one. Each costs time, and 200,000 empty ones fit into 2 MiB."""
_ZSTD_WINDOW_BITS = 24
"""16 MiB, which the decoder allocates. Those who pack a cluster of at most 2 MiB use windows of at most 2 MiB."""


def unpack_zlib(data: bytes, most: int, *, window_bits: int) -> bytes:
    """The first `most` bytes of the stream in `data`, or all if it has fewer."""
    try:
        return zlib.decompressobj(window_bits).decompress(data, most)
    except zlib.error as error:
        raise Broken(f"a packed block cannot be unpacked: {error}") from None


def unpack_zstd(data: bytes, most: int) -> bytes:
    """The same for zstd; several frames may follow each other (qemu, block/qcow2-threads.c: qcow2_zstd_decompress)."""
    parts: list[bytes] = []
    while most > 0 and data:
        frame = zstd_frame(data, most, _ZSTD_WINDOW_BITS)
        if len(parts) >= MAX_FRAMES or not frame.output:
            raise Broken(f"a packed block has more than {MAX_FRAMES} frames, or one that is empty")
        parts.append(frame.output)
        most -= len(frame.output)
        data = frame.rest
    return b"".join(parts)
