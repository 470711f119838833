"""Headers of zip archives (PKWARE's APPNOTE 6.3.10), read strictly: those of the members, and those at the end.

Nothing here reads a file. A :class:`ZipError` names a contradiction: programs read a zip from its start or from its
end, and an archive that differs between the two hides something from one of them.
"""

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
DESCRIPTOR_SIGNATURE = b"PK\7\x08"
SPLIT = (DESCRIPTOR_SIGNATURE + LOCAL, b"PK00" + LOCAL)
"""How an archive of several files begins, and one that could have become several (4.4.1.5, 8.5.3)."""

_END64, _LOCATOR = b"PK\6\6", b"PK\6\7"
LOCAL_BYTES, CENTRAL_BYTES, END_BYTES = 30, 46, 22
_LOCAL = Struct("<4s5H3I2H")
_CENTRAL = Struct("<4s6H3I5H2I")
_END = Struct("<4s4H2IH")
_RECORD = Struct("<4sQ2H2I4Q")
_LOCATE = Struct("<4sIQI")
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF

ENCRYPTED, LZMA_END_MARK, DESCRIPTOR, PATCH, STRONG, UTF8, MASKED = 1, 2, 8, 0x20, 0x40, 0x800, 0x2000
"""Bits of the flags (4.4.4): encrypted; an end mark; sizes follow the data; a patch; and so on."""

_FORMAT_BITS, _DIRECTORY, _REGULAR = 0o170000, 0o040000, 0o100000
_CONTENT = (0, _REGULAR, 0o010000, 0o140000)
"""Types, in a mode of Unix, of members with the content of a file: ``cat disk | zip - -`` writes the type of its
standard input, a pipe or a socket. unzip makes a file of both, and libarchive of a pipe."""

MAX_END_BYTES = CENTRAL_BYTES + 3 * _MAX16 + _RECORD.size + _LOCATE.size + END_BYTES + _MAX16
"""Most bytes after the data of an archive's only member: its entry in the directory, and the end records."""


class ZipError(ValueError):
    """The archive contradicts itself. Attribute `offset`: bytes, or None."""

    def __init__(self, detail: str, offset: "int | None" = None) -> None:
        super().__init__(detail)
        self.offset = offset


class ZipTruncated(ZipError):
    """The archive ends inside its last record."""


class Entry:
    """A member, by its local header (`central` False) or by the central directory.

    `name`; `names`: all its names, the Unicode path of an extra field too; `flags`; `method` (0 stored, 8 deflate);
    `crc`; `packed` and `size` in bytes, with Zip64; `offset` of its local header in bytes; `mode`: of Unix, 0 if
    unknown; `length`: bytes of this header.
    """

    __slots__ = ("central", "crc", "flags", "length", "method", "mode", "name", "names", "offset", "packed", "size")

    def __init__(self, header: bytes, offset: int, *, central: bool) -> None:
        """`header` has the fixed part, name and extra fields. Raises ZipError."""
        self.central = central
        if central:
            (
                _,
                made_by,
                _,
                self.flags,
                self.method,
                _,
                _,
                self.crc,
                self.packed,
                self.size,
                names,
                extras,
                comments,
            ) = _CENTRAL.unpack_from(header)[:13]
            disk, _, external, self.offset = _CENTRAL.unpack_from(header)[13:]
            fixed = CENTRAL_BYTES
            self.mode = external >> 16 if made_by >> 8 in (3, 19) else 0  # Unix, OS X (4.4.2)
        else:
            (_, _, self.flags, self.method, _, _, self.crc, self.packed, self.size, names, extras) = _LOCAL.unpack_from(
                header
            )
            fixed, comments, disk, self.mode, self.offset = LOCAL_BYTES, 0, 0, 0, offset
        self.length = fixed + names + extras + comments
        if len(header) < fixed + names + extras:
            raise ZipError("a header of a member is cut short", offset)
        raw = header[fixed : fixed + names]
        self.name = raw.decode("utf-8" if self.flags & UTF8 else "cp437", "surrogateescape")
        self.names = [self.name]
        has_zip64 = False
        for kind, value in _extra_fields(header[fixed + names : fixed + names + extras], offset):
            if kind == 1:
                if has_zip64:
                    raise ZipError("a member has two Zip64 fields", offset)
                has_zip64 = True
                disk = self._take_zip64(value, disk, offset)
            elif kind == 0x7075 and len(value) > 5:  # 4.6.9: version, CRC of the name, the name in UTF-8
                self.names.append(value[5:].decode("utf-8", "surrogateescape"))
        if disk:
            raise ZipError("the archive is split into several files", offset)

    def _take_zip64(self, value: bytes, disk: int, offset: int) -> int:
        at = 0
        for field in ("size", "packed", "offset"):
            if getattr(self, field) == _MAX32 and (field != "offset" or self.central):
                if at + 8 > len(value):
                    raise ZipError("the Zip64 field of a member is cut short", offset)
                setattr(self, field, int.from_bytes(value[at : at + 8], "little"))
                at += 8
        return 0 if disk == _MAX16 and int.from_bytes(value[at : at + 4], "little") == 0 else disk

    @property
    def is_directory(self) -> bool:
        """True if the name is that of a directory."""
        return self.name.endswith("/")

    @property
    def is_special(self) -> bool:
        """True if it is neither a file nor a directory, or if name and mode contradict each other."""
        kind = self.mode & _FORMAT_BITS
        if self.is_directory:
            return kind not in (0, _DIRECTORY) and (kind != _REGULAR or bool(self.size))
        return kind not in _CONTENT

    @property
    def encrypted(self) -> bool:
        """True if its content, or its header, is encrypted."""
        return bool(self.flags & (ENCRYPTED | STRONG | MASKED))


class Directory:
    """The place of the central directory: `offset`, `size` in bytes, `count` of entries, `end` of the archive."""

    __slots__ = ("count", "end", "offset", "size")

    def __init__(self, offset: int, size: int, count: int, end: int) -> None:
        self.offset, self.size, self.count, self.end = offset, size, count, end


def find_directory(tail: bytes, total: int) -> "Directory | None":
    """Find the end of central directory record in `tail`, the last bytes of `total`; None if there is none.

    Raises ZipError if it contradicts the archive, or if a program could find another one.
    """
    directory: Directory | None = None
    problem: ZipError | None = None
    at = tail.rfind(END)
    for _ in range(64):
        if at < 0:
            break
        try:
            candidate = _directory_at(tail, at, total)
        except ZipError as error:
            problem = problem or error
        else:
            if directory is not None:
                raise ZipError("it has two central directories, and programs read one or the other", candidate.offset)
            if problem is not None:  # in the comment, or behind it; Python's zipfile reads the last record
                raise ZipError("another end of central directory record follows the right one", problem.offset)
            directory = candidate
        at = tail.rfind(END, 0, at)
    if directory is None and problem is not None:
        raise problem
    return directory


def _directory_at(tail: bytes, at: int, total: int) -> Directory:
    base = total - len(tail)
    position = base + at
    if at + END_BYTES > len(tail):
        raise ZipTruncated("the end of central directory record is cut short", position)
    _, disk, first, on_disk, count, size, offset, comment = _END.unpack_from(tail, at)
    end = position + END_BYTES + comment
    if end > total:
        raise ZipTruncated("the comment of the archive is cut short", position)
    where = position
    if at >= _LOCATE.size and tail[at - _LOCATE.size :].startswith(_LOCATOR):
        _, disk64, record_at, disks = _LOCATE.unpack_from(tail, at - _LOCATE.size)
        inside = record_at - base
        if not 0 <= inside <= at - _LOCATE.size - _RECORD.size or tail[inside : inside + 4] != _END64:
            raise ZipError("its Zip64 record is not where the locator says", position - _LOCATE.size)
        record = _RECORD.unpack_from(tail, inside)
        fields = record[4:]
        short = (disk, first, on_disk, count, size, offset)
        limits = (_MAX16, _MAX16, _MAX16, _MAX16, _MAX32, _MAX32)
        if any(one not in (two, limit) for one, two, limit in zip(short, fields, limits, strict=True)):
            raise ZipError("the Zip64 record differs from the one for other programs", record_at)
        if disk64 or disks > 1 or inside + 12 + record[1] != at - _LOCATE.size:
            raise ZipError("its Zip64 record does not end where the locator begins", record_at)
        disk, first, on_disk, count, size, offset = fields
        where = record_at
    if disk or first or on_disk != count:
        raise ZipError("the archive is split into several files", position)
    if offset + size != where:
        raise ZipError(
            f"the central directory should end at {offset + size}, but its end record is at {where}", position
        )
    return Directory(offset, size, count, end)


def entries(directory: Directory, data: bytes) -> "Iterator[Entry]":
    """Yield the entries of the central directory, whose bytes are `data`. Raises ZipError."""
    at = 0
    for _ in range(directory.count):
        header = data[at : at + CENTRAL_BYTES + 3 * _MAX16]
        if len(header) < CENTRAL_BYTES or not header.startswith(CENTRAL):
            raise ZipError(f"the central directory has fewer than {directory.count} entries", directory.offset + at)
        entry = Entry(header, directory.offset + at, central=True)
        at += entry.length
        yield entry
    if at != len(data):
        # No tool in use writes a digital signature (4.3.13) there.
        raise ZipError("the central directory has more in it than its entries", directory.offset + at)


def descriptors(crc: int, packed: int, size: int) -> "Iterator[bytes]":
    """The forms of a data descriptor (4.3.9): lengths of 4 or of 8 bytes, with its signature or without."""
    for width in (4, 8):
        if max(packed, size) >> 8 * width == 0:
            fields = crc.to_bytes(4, "little") + packed.to_bytes(width, "little") + size.to_bytes(width, "little")
            yield DESCRIPTOR_SIGNATURE + fields
            yield fields


def lengths_in(fixed: bytes) -> int:
    """Bytes of name and extra fields that follow the fixed part of a local header."""
    names, extras = _LOCAL.unpack(fixed)[9:]
    return int(names + extras)


def _extra_fields(data: bytes, offset: int) -> "Iterator[tuple[int, bytes]]":
    at = 0
    while at + 4 <= len(data):
        kind, length = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        if at + 4 + length > len(data):
            raise ZipError("an extra field of a member is cut short", offset)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length
