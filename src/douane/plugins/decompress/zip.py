"""A zip of one file (PKWARE's APPNOTE.TXT 6.3.10), from its local header on, as it arrives.

Other programs read a zip from its end. So the directory at the end must describe the file that was unpacked.
"""

from __future__ import annotations

from douane.plugins.formats import zip_directory
from douane.plugins.formats.member_names import quoted
from douane.plugins.formats.zip_directory import Entry, ZipError, ZipTruncated
from douane_plugin import Reject

from . import bzip2, lzma, xz, zstd
from .decoding import decode
from .limits import UnpackLimits, damaged, truncated, unsupported, wrong_checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins._byte_reader import ByteReader

NAME = "zip"
_STORED, _DEFLATED, _LZMA, _ENCRYPTED = 0, 8, 14, 99
_STREAMS = {12: bzip2.unpack_stream, 93: zstd.unpack_frame, 95: xz.unpack_stream}
_NO_SIZE = (1 << 64) - 1


def unpack(source: ByteReader, limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the content of the only file. Raises Reject."""
    import zlib

    from isal import isal_zlib

    head = source.peek(8)
    if head.startswith(zip_directory.SPLIT):
        raise unsupported(NAME, "are one part of several; pack it in one")
    if head.startswith(zip_directory.END):
        raise Reject("zip-members", "the zip holds no file; pack the image again")
    limits.begin_member(NAME)
    try:
        member = _read_member(source)
        # Some writers know the lengths although a descriptor follows the data, and some do not.
        is_streamed = bool(member.flags & zip_directory.DESCRIPTOR)
        expected = [field or None if is_streamed else field for field in (member.packed, member.size, member.crc)]
        packed, size, crc = expected
        start, member.size, member.crc = source.offset, 0, zlib.crc32(b"")
        for piece in _unpack_data(source, limits, member, packed, size):
            member.crc = isal_zlib.crc32(piece, member.crc)
            member.size += len(piece)
            if size is not None and member.size > size:
                raise ZipError("its file is longer than its header says")
            yield piece
        member.packed = source.offset - start
        if packed not in (None, member.packed) or size not in (None, member.size):
            raise ZipError("the length of its file is not what its header says")
        if crc not in (None, member.crc):
            raise wrong_checksum(NAME, "the checksum")
        if is_streamed:
            _read_descriptor(source, member)
        _check_directory(source, member)
    except ZipTruncated as error:
        raise truncated(NAME) from error
    except ZipError as error:
        raise Reject("zip-ambiguous", f"the zip contradicts itself: {error}; pack the image again") from error


def _read_member(source: ByteReader) -> Entry:
    header = _read_exactly(source, zip_directory.LOCAL_BYTES)
    member = Entry(header + _read_exactly(source, zip_directory.lengths_in(header)), 0, central=False)
    if member.encrypted or member.method == _ENCRYPTED:
        raise Reject("compressed-encrypted", "the zip is encrypted, so nothing in it can be checked; pack it without")
    if member.flags & zip_directory.PATCH:
        raise unsupported(NAME, "are a patch to another file; pack the image itself")
    for name in member.names:
        _check_name(name)
    return member


def _check_name(name: str) -> None:
    """Refuse a name that is there to harm programs that use names. It is used for nothing here."""
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name:
        raise Reject("zip-name", "the file in the zip has no name, or a NUL in it; pack the image again")
    if ".." in parts or not parts[0] or parts[0][1:2] == ":":
        raise Reject("zip-name", f"the file in the zip is called {quoted(name)}, outside the zip; pack the image again")
    if not parts[-1]:
        raise Reject("zip-members", f"the zip begins with the folder {quoted(name)}; pack the image alone")


def _many(first: str, second: str) -> Reject:
    """The refusal of a second file. Finder of macOS packs one with attributes beside each file."""
    remedy = "pack it with zip -X, not with Finder" if "__MACOSX" in second else "pack the image alone"
    return Reject(
        "zip-members", f"the zip holds {quoted(first)} and {quoted(second)}, and an image is one file; {remedy}"
    )


def _unpack_data(
    source: ByteReader, limits: UnpackLimits, member: Entry, packed: int | None, size: int | None
) -> Iterator[bytes]:
    if member.method == _STORED:
        if packed is None or size is None:
            raise Reject(
                "zip-layout",
                "the zip was written as a stream, and its file is not compressed, so its end cannot be found before "
                "all of it is there; pack it compressed, or into a file",
            )
        yield from _unpack_stored(source, limits, packed)
    elif member.method == _DEFLATED:
        from isal import igzip_lib

        decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        yield from decode(decoder, source, limits, NAME, lambda error: damaged(NAME, str(error)))
    elif member.method == _LZMA:
        yield from _unpack_lzma(source, limits, member, size)
    elif member.method in _STREAMS:
        yield from _STREAMS[member.method](source, limits, NAME)
    else:
        raise unsupported(NAME, f"are packed by method {member.method}, which is not known here; pack it with deflate")


def _unpack_stored(source: ByteReader, limits: UnpackLimits, packed: int) -> Iterator[bytes]:
    while packed:
        data = bytes(source.take(min(packed, limits.piece)))
        if not data:
            raise truncated(NAME)
        packed -= len(data)
        yield data


def _unpack_lzma(source: ByteReader, limits: UnpackLimits, member: Entry, size: int | None) -> Iterator[bytes]:
    """4.4.4 and 5.8.8: two bytes of version, two of length, five of properties, as a ``.lzma`` file begins with."""
    if _read_exactly(source, 4)[2:] != b"\x05\0":
        raise damaged(NAME, "the properties of LZMA have another length")
    properties = _read_exactly(source, 5)
    has_end_mark = bool(member.flags & zip_directory.LZMA_END_MARK)
    if not has_end_mark and size is None:
        raise Reject("zip-layout", "the zip does not say where its file ends; pack it again, with deflate")
    length = _NO_SIZE if has_end_mark or size is None else size
    source.put_before(properties + length.to_bytes(8, "little"))
    yield from lzma.unpack_stream(source, limits, NAME)


def _read_descriptor(source: ByteReader, member: Entry) -> None:
    """Pass over the data descriptor. Its form is not marked; the next header must follow it."""
    for descriptor in zip_directory.descriptors(member.crc, member.packed, member.size):
        if source.peek(len(descriptor) + 2) == descriptor + b"PK":
            source.skip(len(descriptor))
            return
    if len(source.peek(26)) < 26:
        raise truncated(NAME)
    raise wrong_checksum(NAME, "the checksum or the length")


def _check_directory(source: ByteReader, member: Entry) -> None:
    """Read the directory and all that follows it. It must describe `member`, as unpacked, and no other file."""
    header = source.peek(zip_directory.LOCAL_BYTES)
    if header[:4] == zip_directory.LOCAL:
        header = _read_exactly(source, zip_directory.LOCAL_BYTES)
        second = Entry(header + _read_exactly(source, zip_directory.lengths_in(header)), 0, central=False)
        raise _many(member.name, second.name)
    start = source.offset
    tail = source.read(zip_directory.MAX_END_BYTES)
    if source.peek(1):
        raise ZipError("something follows its end")  # where other programs look for another end
    directory = zip_directory.find_directory(tail, source.offset)
    if directory is None:
        raise truncated(NAME)
    if directory.offset != start or directory.end != source.offset:
        raise ZipError("something stands between its parts, or follows its end")
    entries = list(zip_directory.entries(directory, tail[: directory.size]))
    if len(entries) > 1:
        raise _many(entries[0].name, entries[1].name)
    fields = ("name", "flags", "method", "packed", "size", "crc", "offset")
    if not entries or any(getattr(entries[0], field) != getattr(member, field) for field in fields):
        raise ZipError("its directory does not describe the file that is in it")
    if entries[0].is_special:
        raise Reject(
            "zip-members",
            f"{quoted(member.name)} in the zip is a link, a device or a folder (its mode is {entries[0].mode:o}); pack "
            "the image itself",
        )


def _read_exactly(source: ByteReader, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise truncated(NAME)
    return data
