"""Zstandard (RFC 8878): frames, one after the other, and skippable frames."""

from __future__ import annotations

import sys

from douane.plugins.formats.zstd import MAGIC, OLD_MAGICS, read_frame_header
from douane_plugin import Reject

from .decoding import decode, read_header, skip_frames
from .limits import UnpackLimits, damaged, truncated, unsupported, wrong_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

NAME = "zstd"


def unpack(source: ByteReader, limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the content of all frames. Raises Reject."""
    frames = 0
    while True:
        skip_frames(source, limits, NAME)
        magic = source.peek(4)
        if magic in OLD_MAGICS:
            raise unsupported(NAME, "are from before version 1 of the format; compress it again with a zstd of today")
        if magic == MAGIC:
            yield from unpack_frame(source, limits, NAME)
            frames += 1
            continue
        if not frames:
            raise truncated(NAME) if len(magic) < 4 else damaged(NAME, "no frame follows the skippable frames")
        limits.check_end(NAME, source)
        return


def unpack_frame(source: ByteReader, limits: UnpackLimits, name: str) -> Iterator[bytes]:
    """Yield the content of one frame, and leave what follows. Raises Reject."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    limits.begin_member(name)
    header = read_header(source, read_frame_header(0), name)
    if header.reserved:
        raise unsupported(name, "have flags that are not known here; compress it with another zstd")
    if header.dictionary:
        raise unsupported(name, "need a dictionary that is not in them; compress it without one")
    limits.check_window(name, header.window)
    # The limit above allows any number of bytes; libzstd's limit is a power of two.
    bits = min(max((limits.window - 1).bit_length(), 10), 31)
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: bits})
    yield from decode(decoder, source, limits, name, lambda error: _explain(error, name))


def _explain(error: Exception, name: str) -> Reject:
    text = str(error)
    if "not enough memory" in text:
        raise MemoryError(text) from error
    if "checksum" in text:
        return wrong_checksum(name, "the checksum")
    return damaged(name, text.rpartition(": ")[2].rstrip(".").lower() or "they cannot be unpacked")
