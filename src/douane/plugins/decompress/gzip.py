"""Gzip (RFC 1952): members, one after the other, each with a CRC and a length."""

from __future__ import annotations

from .decoding import decode
from .rules import Rules, damaged, truncated, wrong_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

NAME = "gzip"
_MAGIC = b"\x1f\x8b"
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0
_MOST_TEXT = 64 << 10


def begins(head: bytes) -> bool:
    """Deflate is the only method there is, and whoever unpacks must refuse reserved flags (2.3.1.2)."""
    return head.startswith(_MAGIC + b"\x08") and len(head) > 3 and not head[3] & _RESERVED


def unpack(source: Source, rules: Rules) -> Iterator[bytes]:
    """Yield what all members unpack to. Raises Reject."""
    from isal import igzip_lib, isal_zlib

    while True:
        rules.begin_member(NAME)
        _read_header(source)
        decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        crc = length = 0
        for made in decode(decoder, source, rules, NAME, lambda error: damaged(NAME, str(error))):
            crc = isal_zlib.crc32(made, crc)
            length += len(made)
            yield made
        end = source.read(8)
        if len(end) < 8:
            raise truncated(NAME)
        if int.from_bytes(end[:4], "little") != crc:
            raise wrong_checksum(NAME, "the checksum")
        if int.from_bytes(end[4:], "little") != length & 0xFFFFFFFF:
            raise wrong_checksum(NAME, "the length")
        if source.peek(2) != _MAGIC:
            rules.end(NAME, source)
            return


def _read_header(source: Source) -> None:
    """Our own: igzip's does not refuse reserved flags, and takes a header that comes in pieces for damaged (1.9.1)."""
    header = source.read(10)
    if len(header) < 10:
        raise truncated(NAME)
    flags = header[3]
    if header[2] != 8 or flags & _RESERVED:
        raise damaged(NAME, "the header of a member has a method or flags that gzip does not have")
    if flags & _FEXTRA:
        header += _exactly(source, 2)
        header += _exactly(source, int.from_bytes(header[-2:], "little"))
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            header += _text(source)
    if flags & _FHCRC:
        import zlib

        if int.from_bytes(_exactly(source, 2), "little") != zlib.crc32(header) & 0xFFFF:
            raise wrong_checksum(NAME, "the checksum of a header")


def _exactly(source: Source, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise truncated(NAME)
    return data


def _text(source: Source) -> bytes:
    """A name or a comment with the zero at its end. gzip(1) writes file names; no file system has longer ones."""
    text = source.peek(_MOST_TEXT)
    end = text.find(b"\0") + 1
    if end:
        return source.read(end)
    if len(text) < _MOST_TEXT:
        raise truncated(NAME)
    raise damaged(NAME, "the name or the comment in a header has no end")
