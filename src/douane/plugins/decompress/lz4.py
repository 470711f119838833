"""LZ4 frames (lz4_Frame_format.md, 1.6.x), one after the other, and frames that are to be skipped."""

from __future__ import annotations

from douane_plugin import Reject

from . import skippable
from .decoding import decode
from .rules import Rules, damaged, truncated, unsupported, wrong_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

NAME = "lz4"
MAGIC, LEGACY = b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"
_HEADER_BYTES = 7
_DICTIONARY = 1


def begins(head: bytes) -> bool:
    """By its magic. Frames that are to be skipped are looked behind elsewhere."""
    return head[:4] in (MAGIC, LEGACY)


def unpack(source: Source, rules: Rules) -> Iterator[bytes]:
    """Yield what all frames unpack to. Raises Reject."""
    import lz4.frame

    while True:
        skippable.skip(source, rules, NAME)
        header = source.peek(_HEADER_BYTES)
        if header.startswith(LEGACY):
            raise unsupported(
                NAME,
                "are a legacy frame (lz4 -l, as kernels are packed), which has no end and no checksum; compress it "
                "again without -l",
            )
        if not header.startswith(MAGIC):
            rules.end(NAME, source)
            return
        if len(header) < _HEADER_BYTES:
            raise truncated(NAME)
        rules.begin_member(NAME)
        if header[4] & _DICTIONARY:
            raise unsupported(NAME, "need a dictionary that is not in them; compress it without one")
        rules.begin_window(NAME, 1 << 8 + 2 * (header[5] >> 4 & 7))
        yield from decode(lz4.frame.LZ4FrameDecompressor(), source, rules, NAME, _explain)


def _explain(error: Exception) -> Reject:
    text = str(error)
    if "hecksum" in text:  # ERROR_headerChecksum_invalid, ERROR_blockChecksum_invalid, ERROR_contentChecksum_invalid
        return wrong_checksum(NAME, "a checksum")
    if "allocation" in text:
        raise MemoryError(text) from error
    return damaged(NAME, text.rpartition("ERROR_")[2] or "they cannot be unpacked")
