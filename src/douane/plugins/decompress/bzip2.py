"""Bzip2: streams, one after the other, of blocks of at most 900 kB with a CRC each."""

from __future__ import annotations

from .decoding import decode
from .rules import Rules, damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

NAME = "bzip2"
_BLOCK, _END = bytes.fromhex("314159265359"), bytes.fromhex("177245385090")


def begins(head: bytes) -> bool:
    """``BZh``, the size of blocks, and pi, with which a block begins, or its root, the end of an empty stream."""
    return head.startswith(b"BZh") and head[3:4] in b"123456789" and head[4:10] in (_BLOCK, _END)


def unpack(source: Source, rules: Rules) -> Iterator[bytes]:
    """Yield what all streams unpack to. Raises Reject."""
    while True:
        yield from unpack_stream(source, rules, NAME)
        if source.peek(3) != b"BZh":
            rules.end(NAME, source)
            return


def unpack_stream(source: Source, rules: Rules, name: str) -> Iterator[bytes]:
    """Yield one stream, and leave alone what follows. Raises Reject."""
    import bz2

    rules.begin_member(name)
    # bz2 does not tell more
    refusal = damaged(name, "a block is not what it was, or its checksum is wrong")
    yield from decode(bz2.BZ2Decompressor(), source, rules, name, lambda error: refusal)
