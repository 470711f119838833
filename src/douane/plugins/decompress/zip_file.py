"""A zip of one file (PKWARE's APPNOTE.TXT 6.3.10), from its local header on, as it arrives.

Others read a zip from its end. So what stands there is checked against what was unpacked (:mod:`zip_directory`).
"""

from __future__ import annotations

from douane_plugin import Reject

from . import bzip2, lzma, xz, zip_directory, zstd
from .decoding import decode
from .rules import Rules, damaged, truncated, unsupported, wrong_checksum
from .zip_directory import Member, ambiguous, exactly, number, zip64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

NAME = "zip"
_LOCAL = b"PK\x03\x04"
_EMPTY = b"PK\x05\x06" + bytes(14)
"""An end, with a directory of no length."""
_SPANNED = (b"PK\x07\x08" + _LOCAL, b"PK00" + _LOCAL)
"""4.4.1.5 and 8.5.3: one of several parts, or one that might have become several."""
_HEADER_BYTES = 30
_ENCRYPTED, _PATCHED = 0x2041, 0x20
_DESCRIPTOR, _LZMA_END_MARK = 8, 2
_STORED, _DEFLATED, _LZMA = 0, 8, 14
_STREAMS = {12: bzip2.unpack_stream, 93: zstd.unpack_frame, 95: xz.unpack_stream}
_NO_SIZE = (1 << 64) - 1


def begins(head: bytes) -> bool:
    """A local header; or the end of an empty zip, or the mark of one in several parts, which will be refused."""
    return head.startswith((_LOCAL, _EMPTY, *_SPANNED))


def unpack(source: Source, rules: Rules) -> Iterator[bytes]:
    """Yield what the one file in it unpacks to. Raises Reject."""
    import zlib

    from isal import isal_zlib

    head = source.peek(len(_EMPTY))
    if head.startswith(_SPANNED):
        raise unsupported(NAME, "are one part of several; pack it in one")
    if head == _EMPTY:
        raise Reject("zip-members", "the zip holds no file; pack the image again")
    rules.begin_member(NAME)
    member, known, expected = _read_header(source)
    start = source.offset
    crc = zlib.crc32(b"")
    for made in _unpack_data(source, rules, member, *known):
        crc = isal_zlib.crc32(made, crc)
        member.size += len(made)
        if known[1] is not None and member.size > known[1]:
            raise ambiguous("its file is longer than its header says")
        yield made
    member.packed = source.offset - start
    member.crc = crc
    if known[0] not in (None, member.packed) or known[1] not in (None, member.size):
        raise ambiguous("the length of its file is not what its header says")
    if expected not in (None, crc):
        raise wrong_checksum(NAME, "the checksum")
    if member.flags & _DESCRIPTOR:
        _read_descriptor(source, member)
    zip_directory.check(source, member)


def _read_header(source: Source) -> tuple[Member, tuple[int | None, int | None], int | None]:
    """The file; its lengths (packed, unpacked) and its CRC, where they are known beforehand."""
    header = exactly(source, _HEADER_BYTES)
    flags, method = number(header, 6, 2), number(header, 8, 2)
    name = exactly(source, number(header, 26, 2))
    extra = exactly(source, number(header, 28, 2))
    if flags & _ENCRYPTED or method == 99:
        raise Reject("compressed-encrypted", "the zip is encrypted, so nobody here can look into it; pack it without")
    if flags & _PATCHED:
        raise unsupported(NAME, "are a patch to another file; pack the image itself")
    _check_name(name)
    size, packed = zip64(extra, [number(header, 22, 4), number(header, 18, 4)])
    crc = number(header, 14, 4)
    member = Member(name=name, flags=flags, method=method)
    if flags & _DESCRIPTOR:  # the lengths follow the data; some who write that know them before, and some do not
        return member, (packed or None, size or None), crc or None
    return member, (packed, size), crc


def _check_name(name: bytes) -> None:
    """The name is used for nothing; one like these is there to harm somebody who does."""
    parts = name.replace(b"\\", b"/").split(b"/")
    if not name or b"\0" in name or b".." in parts or not parts[0] or parts[0][1:2] == b":":
        raise Reject("zip-name", "the file in the zip has a name that leads out of the zip; pack the image again")
    if not parts[-1]:
        raise Reject("zip-members", "the zip begins with a folder; pack the image alone")


def _unpack_data(source: Source, rules: Rules, member: Member, packed: int | None, size: int | None) -> Iterator[bytes]:
    if member.method == _STORED:
        if packed is None or size is None:
            raise Reject(
                "zip-layout",
                "the zip was written as a stream, and its file is not compressed, so that nobody can tell where it "
                "ends before all of it is there; pack it compressed, or into a file",
            )
        yield from _unpack_stored(source, rules, packed)
    elif member.method == _DEFLATED:
        from isal import igzip_lib

        decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        yield from decode(decoder, source, rules, NAME, lambda error: damaged(NAME, str(error)))
    elif member.method == _LZMA:
        yield from _unpack_lzma(source, rules, member, size)
    elif member.method in _STREAMS:
        yield from _STREAMS[member.method](source, rules, NAME)
    else:
        raise unsupported(NAME, f"are packed by method {member.method}, which is not known here; pack it with deflate")


def _unpack_stored(source: Source, rules: Rules, packed: int) -> Iterator[bytes]:
    while packed:
        data = bytes(source.take(min(packed, rules.piece)))
        if not data:
            raise truncated(NAME)
        packed -= len(data)
        yield data


def _unpack_lzma(source: Source, rules: Rules, member: Member, size: int | None) -> Iterator[bytes]:
    """4.4.4 and 5.8.8: two bytes of version, two of length, five of properties, as a ``.lzma`` file begins with."""
    if exactly(source, 4)[2:] != b"\x05\0":
        raise damaged(NAME, "the properties of LZMA have another length")
    properties = exactly(source, 5)
    if not member.flags & _LZMA_END_MARK and size is None:
        raise Reject("zip-layout", "the zip does not say where its file ends; pack it again, with deflate")
    length = _NO_SIZE if member.flags & _LZMA_END_MARK or size is None else size
    source.put_before(properties + length.to_bytes(8, "little"))
    yield from lzma.unpack_stream(source, rules, NAME)


def _read_descriptor(source: Source, member: Member) -> None:
    """4.3.9: with its signature or without, and lengths of 4 or of 8 bytes; nothing says which, but the next header."""
    crc = member.crc.to_bytes(4, "little")
    for width in (4, 8):
        if max(member.packed, member.size) >> 8 * width:
            continue
        lengths = member.packed.to_bytes(width, "little") + member.size.to_bytes(width, "little")
        for signature in (b"PK\x07\x08", b""):
            told = signature + crc + lengths
            found = source.peek(len(told) + 2)
            if found == told + b"PK":
                source.skip(len(told))
                return
    if len(source.peek(26)) < 26:
        raise truncated(NAME)
    raise wrong_checksum(NAME, "the checksum or the length")
