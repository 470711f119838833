"""Gzip (RFC 1952). The compressed data is not examined: a truncation shows only when it is unpacked."""

from . import member_names
from .compression import Compression, HeaderError
from .requests import Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from .match import Match
    from .requests import Reader

MAGIC = b"\x1f\x8b"
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0
_USUAL_TEXT, _MAX_TEXT = 256, 4096
_SHORTEST = 20  # header, an empty deflate block of two bytes, CRC and length


class Gzip(Compression):
    """Deflate is the only method; programs must refuse reserved flags (2.3.1.2)."""

    name = "gzip"
    decoder = "douane.plugins.decompress.gzip"

    def begins(self, head: bytes) -> bool:
        return _is_member(head)

    def read(self, match: "Match") -> "Reader":
        try:
            header = yield from read_header(0)
        except HeaderError as error:
            match.find(error.code, str(error), error.offset)
            return
        match.note("flags", header.flags, 3)
        for what, (offset, text) in header.texts.items():
            match.note(what, member_names.quoted(text.decode("latin-1")), offset)
        if not header.crc_fits:
            match.find("checksum", "the CRC of the header is wrong", header.length - 2)
        first = yield Bytes(header.length, 1, "the first block")
        if first[0] >> 1 & 3 == 3:  # RFC 1951, 3.2.3
            match.find("header", "the first block is of a type that deflate does not have", header.length)
        end = yield Tail(8)
        if match.total < header.length + _SHORTEST - 10:
            match.find("truncated", f"it ends at {match.total}, before the CRC and the length")
        else:
            match.note("length modulo 2^32", int.from_bytes(end[4:], "little"), match.total - 4)


class GzipHeader:
    """The header of a member: its `flags`; `texts`, offset and bytes of the file name and the comment; `crc_fits`, True
    also if it has no CRC; `length` in bytes."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.texts: dict[str, tuple[int, bytes]] = {}
        self.crc_fits = True
        self.length = 10


def read_header(start: int) -> "Generator[Bytes, bytes, GzipHeader]":
    """Read the header of the member at `start`. Raises HeaderError."""
    data = yield Bytes(start, 10, "the header")
    header = GzipHeader(data[3])
    if not _is_member(data):
        raise HeaderError("header", "a member has a method or flags that gzip does not have", start)
    if header.flags & _FEXTRA:
        length = yield Bytes(start + 10, 2, "the length of the extra field")
        data += length + (yield Bytes(start + 12, int.from_bytes(length, "little"), "the extra field"))
    for flag, what in ((_FNAME, "file name"), (_FCOMMENT, "comment")):
        if header.flags & flag:
            at = start + len(data)
            text = yield from _read_text(at, what)
            header.texts[what] = at, text
            data += text + b"\0"
    header.length = len(data)
    if header.flags & _FHCRC:
        import zlib

        checksum = yield Bytes(start + len(data), 2, "the CRC of the header")
        header.crc_fits = int.from_bytes(checksum, "little") == zlib.crc32(data) & 0xFFFF
        header.length += 2
    return header


def _is_member(head: bytes) -> bool:
    return head.startswith(MAGIC + b"\x08") and len(head) > 3 and not head[3] & _RESERVED


def _read_text(at: int, what: str) -> "Generator[Bytes, bytes, bytes]":
    """The bytes before the zero. gzip(1) writes file names, and no file system has names of more than 4 KiB."""
    for length in (_USUAL_TEXT, _MAX_TEXT):
        text = yield Bytes(at, length, f"the {what}", short=True)
        end = text.find(b"\0")
        if end >= 0:
            return text[:end]
    code = "header" if len(text) == _MAX_TEXT else "truncated"
    raise HeaderError(code, f"the {what} has no end in {len(text)} bytes", at)
