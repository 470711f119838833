"""Gzip (RFC 1952). What is compressed is not looked at; whether it is cut short cannot be seen without unpacking it."""

from . import member_names
from .base import Format
from .requests import Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0
_MOST_TEXT = 4096
_SHORTEST = 20  # header, an empty deflate block of two bytes, CRC and length


class Gzip(Format):
    """Deflate is the only method there is; reserved flags must be refused by whoever unpacks it (2.3.1.2)."""

    name = "gzip"
    about = "compressed data; `format` does not unpack it"
    kind = "compressed"
    allowed = True

    def begins(self, head: bytes) -> bool:
        return head.startswith(b"\x1f\x8b\x08") and len(head) > 3 and not head[3] & _RESERVED

    def read(self, match: "Match") -> "Reader":
        header = yield Bytes(0, 10, "the header")
        flags = header[3]
        match.note("flags", flags, 3)
        at = 10
        if flags & _FEXTRA:
            field = yield Bytes(at, 2, "the length of the extra field")
            length = int.from_bytes(field, "little")
            header += field + (yield Bytes(at + 2, length, "the extra field"))
            at += 2 + length
        for flag, what in ((_FNAME, "file name"), (_FCOMMENT, "comment")):
            if not flags & flag:
                continue
            text = yield Bytes(at, _MOST_TEXT, f"the {what}", short=True)
            length = text.find(b"\0")
            if length < 0:
                code = "header" if len(text) == _MOST_TEXT else "truncated"
                match.find(code, f"the {what} has no end in {len(text)} bytes", at)
                return
            match.note(what, member_names.shown(text[:length].decode("latin-1")), at)
            header += text[: length + 1]
            at += length + 1
        if flags & _FHCRC:
            import zlib

            told = yield Bytes(at, 2, "the CRC of the header")
            if int.from_bytes(told, "little") != zlib.crc32(header) & 0xFFFF:
                match.find("checksum", "the CRC of the header is wrong", at)
            at += 2
        first = yield Bytes(at, 1, "the first block")
        if first[0] >> 1 & 3 == 3:
            match.find("header", "the first block is of a type that deflate does not have", at)  # RFC 1951, 3.2.3
        end = yield Tail(8)
        if match.total < at + _SHORTEST - 10:
            match.find("truncated", f"it ends at {match.total}, and CRC and length are missing")
        else:
            match.note("length modulo 2^32", int.from_bytes(end[4:], "little"), match.total - 4)
