"""Gzip (RFC 1952): members, one after the other, each with a CRC and a length."""

from __future__ import annotations

from douane.plugins.formats.gzip import MAGIC
from douane.plugins.formats.gzip import read_header as read_member_header

from .decoding import decode, read_header
from .limits import UnpackLimits, damaged, truncated, wrong_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

NAME = "gzip"


def unpack(source: ByteReader, limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the content of all members. Raises Reject."""
    from isal import igzip_lib, isal_zlib

    while True:
        limits.begin_member(NAME)
        # igzip's own reader does not refuse reserved flags, and takes a header that comes in pieces for damaged (1.9.1)
        header = read_header(source, read_member_header(0), NAME)
        if not header.crc_fits:
            raise wrong_checksum(NAME, "the checksum of a header")
        source.skip(header.length)
        decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        crc = length = 0
        for piece in decode(decoder, source, limits, NAME, lambda error: damaged(NAME, str(error))):
            crc = isal_zlib.crc32(piece, crc)
            length += len(piece)
            yield piece
        trailer = source.read(8)
        if len(trailer) < 8:
            raise truncated(NAME)
        if int.from_bytes(trailer[:4], "little") != crc:
            raise wrong_checksum(NAME, "the checksum")
        if int.from_bytes(trailer[4:], "little") != length & 0xFFFFFFFF:
            raise wrong_checksum(NAME, "the length")
        if source.peek(len(MAGIC)) != MAGIC:
            limits.check_end(NAME, source)
            return
