"""Bzip2: streams, one after the other, of blocks of at most 900 kB with a CRC each."""

from __future__ import annotations

from douane.plugins.formats.bzip2 import MAGIC

from .decoding import decode
from .limits import UnpackLimits, damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

NAME = "bzip2"


def unpack(source: ByteReader, limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the content of all streams. Raises Reject."""
    while True:
        yield from unpack_stream(source, limits, NAME)
        if source.peek(len(MAGIC)) != MAGIC:
            limits.check_end(NAME, source)
            return


def unpack_stream(source: ByteReader, limits: UnpackLimits, name: str) -> Iterator[bytes]:
    """Yield the content of one stream, and leave what follows. Raises Reject."""
    import bz2

    limits.begin_member(name)
    # bz2 gives no other detail
    refusal = damaged(name, "a block is not what it was, or its checksum is wrong")
    yield from decode(bz2.BZ2Decompressor(), source, limits, name, lambda error: refusal)
