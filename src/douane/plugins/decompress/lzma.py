"""LZMA's first container, ``.lzma``: one header, one stream, no checksum."""

from __future__ import annotations

from douane.plugins.formats.lzma import read_header as read_lzma_header

from .decoding import decode, read_header
from .xz import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

    from .limits import UnpackLimits

NAME = "lzma"


def unpack(source: ByteReader, limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the content of the stream. Raises Reject."""
    yield from unpack_stream(source, limits, NAME)
    limits.check_end(NAME, source)


def unpack_stream(source: ByteReader, limits: UnpackLimits, name: str) -> Iterator[bytes]:
    """Yield the content of one stream with its header, and leave what follows. Raises Reject."""
    import lzma

    limits.begin_member(name)
    limits.check_window(name, read_header(source, read_lzma_header(), name).window)
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
    yield from decode(decoder, source, limits, name, lambda error: explain(error, name))
