"""Packed blocks: zlib and zstd, never more output than a block."""

from __future__ import annotations

import zlib
from typing import Any

from douane_guest.errors import Broken, Unsupported

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
    zstd = _zstd_library()
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_BITS}
    parts: list[bytes] = []
    try:
        while most > 0 and data:
            decoder = zstd.ZstdDecompressor(options=options)
            part = decoder.decompress(data, most)
            if not part and not decoder.eof:
                break
            parts.append(part)
            most -= len(part)
            data = decoder.unused_data if decoder.eof else b""
    except zstd.ZstdError as error:
        raise Broken(f"a packed block cannot be unpacked: {error}") from None
    return b"".join(parts)


def _zstd_library() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        try:
            from backports import zstd  # type: ignore[no-redef,unused-ignore]
        except ImportError:
            raise Unsupported("it is packed with zstd, for which Python before 3.14 needs backports.zstd") from None
    return zstd
