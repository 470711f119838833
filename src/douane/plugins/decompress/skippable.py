"""Frames that say nothing: zstd's and lz4's are the same (RFC 8878, 3.1.2), and may stand before any other."""

from __future__ import annotations

from .rules import Rules, truncated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

HEADER_BYTES = 8


def is_skippable(head: bytes) -> bool:
    """True if `head` begins with the magic of one."""
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50


def skip(source: Source, rules: Rules, name: str) -> None:
    """Pass over all that stand here. Raises Reject."""
    while is_skippable(source.peek(4)):
        rules.begin_member(name)
        header = source.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or not source.skip(int.from_bytes(header[4:], "little")):
            raise truncated(name)
