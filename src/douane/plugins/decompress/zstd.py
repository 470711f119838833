"""Zstandard (RFC 8878): frames, one after the other, and frames that are to be skipped."""

from __future__ import annotations

import sys

from douane_plugin import Reject

from . import skippable
from .decoding import decode
from .rules import Rules, damaged, truncated, unsupported, wrong_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

NAME = "zstd"
MAGIC = b"\x28\xb5\x2f\xfd"
_OLD = tuple(bytes((first,)) + MAGIC[1:] for first in range(0x22, 0x28))
"""Versions 0.2 to 0.7, from before the format was fixed; zstd(1) is built without them."""

_MOST_HEADER = 18


def begins(head: bytes) -> bool:
    """By its magic. Frames that are to be skipped are looked behind elsewhere."""
    return head[:4] in (MAGIC, *_OLD)


def unpack(source: Source, rules: Rules) -> Iterator[bytes]:
    """Yield what all frames unpack to. Raises Reject."""
    while True:
        skippable.skip(source, rules, NAME)
        magic = source.peek(4)
        if magic in _OLD:
            raise unsupported(NAME, "are from before version 1 of the format; compress it again with a zstd of today")
        if magic != MAGIC:
            rules.end(NAME, source)
            return
        yield from unpack_frame(source, rules, NAME)


def unpack_frame(source: Source, rules: Rules, name: str) -> Iterator[bytes]:
    """Yield one frame, and leave alone what follows. Raises Reject."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    rules.begin_member(name)
    rules.begin_window(name, _read_window(source.peek(_MOST_HEADER), name))
    # Our own look at the header allows any number of bytes; libzstd's bound is a power of two.
    bits = min(max((rules.window - 1).bit_length(), 10), 31)
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: bits})
    yield from decode(decoder, source, rules, name, lambda error: _explain(error, name))


def _read_window(header: bytes, name: str) -> int:
    """The bytes of window that the frame needs (3.1.1.1). Raises Reject."""
    if len(header) < 6:
        raise truncated(name)
    flags = header[4]
    single, dictionary = flags >> 5 & 1, (0, 1, 2, 4)[flags & 3]
    counted = (single, 2, 4, 8)[flags >> 6]
    at = 5 + (not single)
    if len(header) < at + dictionary + counted:
        raise truncated(name)
    if flags & 8:
        raise unsupported(name, "have flags that are not known here; compress it with another zstd")
    if int.from_bytes(header[at : at + dictionary], "little"):
        raise unsupported(name, "need a dictionary that is not in them; compress it without one")
    if not single:
        base = 1 << 10 + (header[5] >> 3)
        return base + base // 8 * (header[5] & 7)
    size = int.from_bytes(header[at + dictionary : at + dictionary + counted], "little")
    return size + (256 if counted == 2 else 0)


def _explain(error: Exception, name: str) -> Reject:
    text = str(error)
    if "not enough memory" in text:
        raise MemoryError(text) from error
    if "checksum" in text:
        return wrong_checksum(name, "the checksum")
    return damaged(name, text.rpartition(": ")[2].rstrip(".").lower() or "they cannot be unpacked")
