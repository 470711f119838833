"""Headers of tar archives, strictly: v7, ustar, pax, GNU with long names, and sparse members of each kind.

POSIX.1-2017, pax: "ustar Interchange Format", "pax Extended Header"; GNU tar's manual: "Basic Tar Format",
"Storing Sparse Files". A header that programs are known to read differently is refused: the program that inspects an
archive and the program that unpacks it must see the same members (CVE-2025-62518, two sizes for one member).

Nothing here reads a file: :func:`read_member` asks for the bytes that it needs, in order.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    Need = tuple[int, int]  # offset and length in bytes of a piece of the archive

BLOCK = 512
MAX_EXTENSION_BYTES = 1 << 20
"""Largest pax header, long name and sparse map. Real names have at most a few kilobytes."""

MAX_EXTENSIONS = 8
"""Extension headers before one member; tools write two or three."""

_ZEROS = bytes(BLOCK)
_KINDS = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"S": "file",
    b"5": "directory",
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "character device",
    b"4": "block device",
    b"6": "fifo",
}
_LIMIT_OF_OCTAL = 1 << 33
"""The 12 bytes of a size hold 11 octal digits: less than 8 GiB."""

_ALONE = ("path", "linkpath", "size")
"""Keys that a global pax header must not set: programs disagree whether one name or size holds for all members."""


class TarError(ValueError):
    """The archive contradicts itself. Attribute `offset`: of the header, in bytes."""

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail)
        self.offset = offset


class TarTruncated(TarError):
    """The archive ends inside a header."""


class Header:
    """One block of 512 bytes: `name`, `kind` (``"file"`` ...), `flag` (one byte), `size` of the following data in
    bytes, `link`, `magic` (``"ustar"``, ``"gnu"`` or ``"v7"``)."""

    __slots__ = ("block", "flag", "kind", "link", "magic", "name", "size")

    def __init__(self, block: bytes, offset: int) -> None:
        """Raises TarError."""
        if not checksum_fits(block):
            raise TarError("the checksum of a header is wrong", offset)
        self.block = block
        self.flag = block[156:157]
        self.size = number(block[124:136], "the size of a member", offset)
        self.link = text(block[157:257])
        self.name = text(block[:100])
        self.kind = _KINDS.get(self.flag, "")
        self.magic = {b"ustar\0": "ustar", b"ustar ": "gnu"}.get(block[257:263], "v7")
        prefix = text(block[345:500])
        if self.magic == "ustar" and prefix:
            self.name = f"{prefix}/{self.name}"
        elif prefix and self.flag not in (b"S", b"L", b"K"):
            # GNU tar keeps times there, and other programs read them as the beginning of the name.
            raise TarError(f"programs read the prefix of the name {self.name[:80]!r} differently", offset)
        if self.kind == "file" and self.flag != b"7" and self.name.endswith("/"):
            self.kind = "directory"  # as v7 wrote them, and GNU tar still reads them


class Member:
    """A member of the archive, by all its headers together."""

    __slots__ = ("data_offset", "end", "extents", "flag", "kind", "link", "name", "offset", "size", "stored")

    def __init__(self, header: Header, offset: int) -> None:
        self.name = header.name
        self.kind = header.kind
        """``file``, ``directory``, ``hard link``, ``symbolic link``, ``character device``, ``block device``,
        ``fifo``, or ``""`` for anything else."""
        self.flag = header.flag
        self.link = header.link
        """The target of a link; any text for other kinds."""
        self.offset = offset
        """Of its first header, in bytes."""
        self.data_offset = 0
        """Of its first byte, in bytes."""
        self.stored = 0
        """Its bytes in the archive."""
        self.size = 0
        """Its bytes when unpacked: more than `stored` if it has holes."""
        self.extents: list[tuple[int, int]] | None = None
        """None without holes; else offset and length, in bytes, of the parts that are in the archive: ascending, inside
        `size`, together `stored` bytes."""
        self.end = 0
        """Of the next header, in bytes."""


class End:
    """The end of the archive. `offset`: of the bytes after it; `blocks`: how many of the two blocks of zeros that mark
    the end are there."""

    __slots__ = ("blocks", "offset")

    def __init__(self, offset: int, blocks: int) -> None:
        self.offset, self.blocks = offset, blocks


def begins_archive(head: bytes) -> bool:
    """True if `head` begins with a header that some program reads, even with a wrong checksum."""
    block = head[:BLOCK]
    if block[257:262] == b"ustar":
        return True
    if len(block) < BLOCK or not block[0] or not checksum_fits(block):
        return False
    try:
        return bool(Header(block, 0).kind)
    except TarError:
        return False


def checksum_fits(block: bytes) -> bool:
    """True if the checksum of a header fits: of its bytes unsigned or, as some old programs wrote it, signed."""
    try:
        checksum = number(block[148:156], "the checksum", 0)
    except TarError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    plain = sum(rest)
    return checksum == plain or checksum == plain - 256 * sum(byte > 127 for byte in rest)


def text(field: bytes) -> str:
    """The characters before the first NUL; bytes that are not UTF-8 become surrogates."""
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def number(field: bytes, subject: str, offset: int) -> int:
    """A number in octal digits or, as GNU tar writes large numbers, in binary. Raises TarError."""
    if field[:1] >= b"\x80":
        if field[0] != 0x80:
            raise TarError(f"{subject} is negative or absurd: {field.hex()}", offset)
        return int.from_bytes(field[1:], "big")
    digits = field.lstrip(b" ")
    for at, byte in enumerate(digits):
        if byte in b" \0":
            if digits[at:].strip(b" \0"):
                break
            digits = digits[:at]
            return int(digits, 8) if digits else 0
        if byte not in b"01234567":
            break
    else:
        return int(digits, 8) if digits else 0
    raise TarError(f"{subject} is not a number: {field!r}", offset)


def read_member(offset: int) -> "Generator[Need, bytes, Member | End]":
    """Read the headers of the member at `offset`: a generator.

    It yields the offset and the length (at most :data:`MAX_EXTENSION_BYTES` and a block) of each piece that it needs,
    in ascending order, and is sent the bytes, fewer at the end of the archive. It returns the Member, after its headers
    and its sparse map, or the End. Raises TarError.
    """
    start = offset
    extensions: dict[bytes, str] = {}
    records: list[tuple[str, str]] = []
    for _ in range(MAX_EXTENSIONS + 1):
        block = yield offset, BLOCK
        if not extensions and not records and offset == start:
            if not block:
                return End(offset, 0)
            if block == _ZEROS:
                block = yield offset + BLOCK, BLOCK
                return End(offset + 2 * BLOCK, 2) if block == _ZEROS else End(offset + BLOCK, 1)
        if len(block) < BLOCK:
            raise TarTruncated("the archive ends inside a header", offset)
        header = Header(block, offset)
        offset += BLOCK
        if header.flag not in (b"x", b"X", b"g", b"L", b"K"):
            member = yield from _member(header, start, offset, extensions, records)
            return member
        if not 0 < header.size <= MAX_EXTENSION_BYTES:
            raise TarError(f"an extension header claims {header.size} bytes", offset - BLOCK)
        data = yield offset, header.size
        if len(data) < header.size:
            raise TarTruncated("the archive ends inside an extension header", offset)
        kind = b"x" if header.flag == b"X" else header.flag
        if kind in extensions and kind != b"g":
            raise TarError("a member has two extension headers of the same kind", offset - BLOCK)
        extensions[kind] = text(data) if kind in (b"L", b"K") else ""
        if kind in (b"x", b"g"):
            extension = pax_records(data, offset)
            if kind == b"x":
                records = extension
            elif any(key in _ALONE or key.startswith("GNU.sparse.") for key, _ in extension):
                raise TarError("a global header sets the name or the size of all members", offset - BLOCK)
        offset += _padded(header.size)
    raise TarError(f"a member has more than {MAX_EXTENSIONS} extension headers", offset - BLOCK)


def pax_records(data: bytes, offset: int) -> "list[tuple[str, str]]":
    """The keys and values of a pax header, whose offset is `offset`. Raises TarError."""
    records = []
    at = 0
    while at < len(data):
        if len(data) - at < BLOCK and not data[at:].strip(b"\0"):
            break  # some writers count the padding
        space = data.find(b" ", at, at + 8)
        length = int(data[at:space]) if space > at and data[at:space].isdigit() else 0
        record = data[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if at + length > len(data) or not record.endswith(b"\n") or not equals or not key:
            raise TarError(f"a pax header is not well-formed at its byte {at}", offset)
        records.append((key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")))
        at += length
    return records


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _member(
    header: Header, start: int, offset: int, extensions: "dict[bytes, str]", records: "list[tuple[str, str]]"
) -> "Generator[Need, bytes, Member]":
    """Combine `header`, whose data is at `offset`, with the extension headers before it."""
    pax = dict(records)
    at = offset - BLOCK
    member = Member(header, start)
    if "path" in pax and b"L" in extensions and pax["path"] != extensions[b"L"]:
        raise TarError("a member has two long names", at)
    member.name = pax.get("GNU.sparse.name", pax.get("path", extensions.get(b"L", header.name)))
    member.link = pax.get("linkpath", extensions.get(b"K", header.link))
    if header.flag in (b"0", b"\0") and member.name.endswith("/"):
        member.kind = "directory"
    size = _decimal(pax["size"], "size", at) if "size" in pax else header.size
    if size != header.size and size < _LIMIT_OF_OCTAL:
        raise TarError(f"a member has two sizes, {header.size} and {size}", at)
    if size and member.kind not in ("file", ""):
        # GNU tar skips as many bytes, other programs none: each sees other members after it.
        raise TarError(f"a {member.kind} claims {size} bytes", at)
    if "SCHILY.realsize" in pax:
        raise TarError("a member is sparse in a way that only star writes", at)
    member.data_offset, member.stored, member.size = offset, size, size
    member.end = offset + _padded(size)
    if header.flag == b"S":
        yield from _old_sparse(header, member)
    elif any(key.startswith("GNU.sparse.") for key in pax):
        yield from _pax_sparse(pax, records, member)
    if member.extents is not None:
        _check_extents(member)
    return member


def _decimal(value: str, subject: str, offset: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise TarError(f"the {subject} in a pax header is not a number: {value[:40]!r}", offset)
    return int(value)


def _old_sparse(header: Header, member: Member) -> "Generator[Need, bytes, None]":
    """GNU's first kind: four parts in the header, and blocks of 21 parts after it, which `size` does not count."""
    member.size = number(header.block[483:495], "the size of a sparse member", member.offset)
    member.extents = []
    fields, more = header.block[386:482], header.block[482]
    at = member.data_offset
    read = 0
    while True:
        for entry in range(0, len(fields), 24):
            if not fields[entry] and not fields[entry + 12]:
                break
            part = (
                number(fields[entry : entry + 12], "a sparse map", at),
                number(fields[entry + 12 : entry + 24], "a sparse map", at),
            )
            member.extents.append(part)
        if not more:
            break
        read += BLOCK
        if read > MAX_EXTENSION_BYTES:
            raise TarError(f"a sparse map has more than {MAX_EXTENSION_BYTES} bytes", at)
        block = yield at, BLOCK
        if len(block) < BLOCK:
            raise TarTruncated("the archive ends inside a sparse map", at)
        fields, more = block[:504], block[504]
        at += BLOCK
    member.end += at - member.data_offset
    member.data_offset = at


def _pax_sparse(
    pax: "dict[str, str]", records: "list[tuple[str, str]]", member: Member
) -> "Generator[Need, bytes, None]":
    """GNU's three kinds in pax headers: 0.0 with a record for each part, 0.1 with one record, 1.0 before the data."""
    at = member.offset
    real = pax.get("GNU.sparse.realsize", pax.get("GNU.sparse.size"))
    if real is None:
        raise TarError("a sparse member has no size", at)
    member.size = _decimal(real, "size of a sparse member", at)
    version = pax.get("GNU.sparse.major", "0"), pax.get("GNU.sparse.minor", "0")
    if "GNU.sparse.major" not in pax:
        numbers = pax.get("GNU.sparse.map", "").split(",") if "GNU.sparse.map" in pax else []
        if "GNU.sparse.map" not in pax:
            numbers = [value for key, value in records if key in ("GNU.sparse.offset", "GNU.sparse.numbytes")]
        member.extents = _pairs([_decimal(value, "sparse map", at) for value in numbers if value], at)
        return
    if version != ("1", "0"):
        raise TarError(f"a sparse member is of the version {'.'.join(version)[:20]}", at)
    lines = bytearray()
    line_count = 1
    start = member.data_offset
    complete = 0
    while complete < line_count:
        if len(lines) >= min(MAX_EXTENSION_BYTES, _padded(member.stored)):
            raise TarError("the map of a sparse member has no end", start)
        block = yield start + len(lines), BLOCK
        if len(block) < BLOCK:
            raise TarTruncated("the archive ends inside a sparse map", start)
        lines += block
        complete += block.count(b"\n")
        if line_count == 1 and b"\n" in lines:
            count = _decimal(lines[: lines.index(b"\n")].decode("latin-1"), "sparse map", start)
            line_count = 1 + 2 * min(count, MAX_EXTENSION_BYTES)
    values = [line.decode("latin-1") for line in bytes(lines).split(b"\n")[1:line_count]]
    member.extents = _pairs([_decimal(value, "sparse map", start) for value in values], start)
    member.data_offset += len(lines)
    member.stored -= len(lines)


def _pairs(numbers: "list[int]", offset: int) -> "list[tuple[int, int]]":
    if len(numbers) % 2:
        raise TarError("a sparse map has an odd number of numbers", offset)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _check_extents(member: Member) -> None:
    end = stored = 0
    for offset, length in member.extents or ():
        if offset < end:
            raise TarError("the parts of a sparse member overlap", member.offset)
        end = offset + length
        stored += length
    if end > member.size or stored != member.stored:
        raise TarError(
            f"a sparse member of {member.size} bytes has {member.stored} in the archive, but parts of {stored} "
            f"that reach to {end}",
            member.offset,
        )
