"""Headers of tar archives, strictly: v7, ustar, pax, GNU with long names, and sparse members of each kind.

POSIX.1-2017, pax: "ustar Interchange Format", "pax Extended Header"; GNU tar's manual: "Basic Tar Format",
"Storing Sparse Files". Where programs are known to read the same header differently, it is refused: an archive must
be the same to whoever inspects it and whoever unpacks it (CVE-2025-62518, two sizes for one member).

Nothing here reads a file: :func:`read_member` says which bytes it needs, in order.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    Need = tuple[int, int]  # offset and length in bytes of a piece of the archive

BLOCK = 512
MAX_EXTENSION_BYTES = 1 << 20
"""Largest pax header, long name and sparse map. GNU tar's default is the same order: names of a few kilobytes."""

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
"""What a global pax header must not set: one name or size for all members; programs disagree whether it holds."""


class TarError(ValueError):
    """The archive contradicts itself. Attribute `offset`: bytes, of the header that does."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(what)
        self.offset = offset


class TarTruncated(TarError):
    """The archive ends inside a header."""


class Header:
    """One block of 512 bytes, as it stands: `name`, `kind` (``"file"`` ...), `flag` (one byte), `size` in bytes of
    what follows, `link`, `magic` (``"ustar"``, ``"gnu"`` or ``"v7"``)."""

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
            # GNU tar keeps times there, and others read them as the beginning of the name.
            raise TarError(f"what stands before the name {self.name[:80]!r} is read differently by programs", offset)
        if self.kind == "file" and self.flag != b"7" and self.name.endswith("/"):
            self.kind = "directory"  # as v7 wrote them, and GNU tar and others still read them


class Member:
    """A member of the archive, all of its headers taken together."""

    __slots__ = ("data_offset", "end", "extents", "flag", "kind", "link", "name", "offset", "size", "stored")

    def __init__(self, header: Header, offset: int) -> None:
        self.name = header.name
        self.kind = header.kind
        """``file``, ``directory``, ``hard link``, ``symbolic link``, ``character device``, ``block device``,
        ``fifo``, or ``""`` for anything else."""
        self.flag = header.flag
        self.link = header.link
        """Where a link points, else what happens to stand there."""
        self.offset = offset
        """Bytes before its first header."""
        self.data_offset = 0
        """Bytes before its first byte."""
        self.stored = 0
        """Bytes of it that are in the archive."""
        self.size = 0
        """Bytes that it has when it is unpacked: more than `stored` if it has holes."""
        self.extents: list[tuple[int, int]] | None = None
        """None if it has no holes; else offset and length, in bytes, of the parts that are in the archive, one
        after the other; checked: ascending, inside `size`, together `stored` bytes."""
        self.end = 0
        """Bytes before what follows it."""


class End:
    """The end of the archive. `offset`: bytes before what stands behind it; `blocks`: of the two blocks of zeros that
    should mark it, how many are there."""

    __slots__ = ("blocks", "offset")

    def __init__(self, offset: int, blocks: int) -> None:
        self.offset, self.blocks = offset, blocks


def begins_archive(head: bytes) -> bool:
    """True if `head` begins with a header that some program would read, even if its checksum is wrong."""
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
    """True if the checksum of a header fits, of its bytes without sign or, as some old programs wrote it, with."""
    try:
        told = number(block[148:156], "the checksum", 0)
    except TarError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    plain = sum(rest)
    return told == plain or told == plain - 256 * sum(byte > 127 for byte in rest)


def text(field: bytes) -> str:
    """The characters before the first NUL; bytes that are not UTF-8 become surrogates."""
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def number(field: bytes, what: str, offset: int) -> int:
    """A number in octal digits or, as GNU tar writes large ones, binary. Raises TarError."""
    if field[:1] >= b"\x80":
        if field[0] != 0x80:
            raise TarError(f"{what} is negative or absurd: {field.hex()}", offset)
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
    raise TarError(f"{what} is not a number: {field!r}", offset)


def read_member(offset: int) -> "Generator[Need, bytes, Member | End]":
    """Read the headers of the member at `offset`: a generator.

    It yields the offset and the length (at most :data:`MAX_EXTENSION_BYTES` and a block) of a piece, never behind one
    that it had, and is sent its bytes, fewer where the archive ends before. It returns the Member, of which it has
    read nothing but headers and sparse map, or the End. Raises TarError.
    """
    start = offset
    found: dict[bytes, str] = {}
    records: list[tuple[str, str]] = []
    for _ in range(MAX_EXTENSIONS + 1):
        block = yield offset, BLOCK
        if not found and not records and offset == start:
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
            member = yield from _member(header, start, offset, found, records)
            return member
        if not 0 < header.size <= MAX_EXTENSION_BYTES:
            raise TarError(f"an extension header claims {header.size} bytes", offset - BLOCK)
        data = yield offset, header.size
        if len(data) < header.size:
            raise TarTruncated("the archive ends inside an extension header", offset)
        kind = b"x" if header.flag == b"X" else header.flag
        if kind in found and kind != b"g":
            raise TarError("a member has two extension headers of the same kind", offset - BLOCK)
        found[kind] = text(data) if kind in (b"L", b"K") else ""
        if kind in (b"x", b"g"):
            told = pax_records(data, offset)
            if kind == b"x":
                records = told
            elif any(key in _ALONE or key.startswith("GNU.sparse.") for key, _ in told):
                raise TarError("a global header sets the name or the size of all members", offset - BLOCK)
        offset += _padded(header.size)
    raise TarError(f"a member has more than {MAX_EXTENSIONS} extension headers", offset - BLOCK)


def pax_records(data: bytes, offset: int) -> "list[tuple[str, str]]":
    """The keys and values of a pax header at `offset`. Raises TarError."""
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
    header: Header, start: int, offset: int, found: "dict[bytes, str]", records: "list[tuple[str, str]]"
) -> "Generator[Need, bytes, Member]":
    """`offset` is that of what follows `header`."""
    pax = dict(records)
    at = offset - BLOCK
    member = Member(header, start)
    if "path" in pax and b"L" in found and pax["path"] != found[b"L"]:
        raise TarError("a member has two long names", at)
    member.name = pax.get("GNU.sparse.name", pax.get("path", found.get(b"L", header.name)))
    member.link = pax.get("linkpath", found.get(b"K", header.link))
    if header.flag in (b"0", b"\0") and member.name.endswith("/"):
        member.kind = "directory"
    size = _decimal(pax["size"], "size", at) if "size" in pax else header.size
    if size != header.size and size < _LIMIT_OF_OCTAL:
        raise TarError(f"a member has two sizes, {header.size} and {size}", at)
    if size and member.kind not in ("file", ""):
        # GNU tar skips as many bytes, others none: each sees other members behind it.
        raise TarError(f"a {member.kind} claims {size} bytes", at)
    if "SCHILY.realsize" in pax:
        raise TarError("a member is sparse as only star writes it", at)
    member.data_offset, member.stored, member.size = offset, size, size
    member.end = offset + _padded(size)
    if header.flag == b"S":
        yield from _old_sparse(header, member)
    elif any(key.startswith("GNU.sparse.") for key in pax):
        yield from _pax_sparse(pax, records, member)
    if member.extents is not None:
        _check_extents(member)
    return member


def _decimal(value: str, what: str, offset: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise TarError(f"the {what} in a pax header is not a number: {value[:40]!r}", offset)
    return int(value)


def _old_sparse(header: Header, member: Member) -> "Generator[Need, bytes, None]":
    """GNU's first kind: four parts in the header, and blocks with 21 more each behind it, which `size` leaves out."""
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
    """GNU's three kinds in pax headers: 0.0 with a record each part, 0.1 with all in one, 1.0 before the data."""
    at = member.offset
    real = pax.get("GNU.sparse.realsize", pax.get("GNU.sparse.size"))
    if real is None:
        raise TarError("a sparse member does not say how large it is", at)
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
    wanted = 1
    start = member.data_offset
    seen = 0
    while seen < wanted:
        if len(lines) >= min(MAX_EXTENSION_BYTES, _padded(member.stored)):
            raise TarError("the map of a sparse member has no end", start)
        block = yield start + len(lines), BLOCK
        if len(block) < BLOCK:
            raise TarTruncated("the archive ends inside a sparse map", start)
        lines += block
        seen += block.count(b"\n")
        if wanted == 1 and b"\n" in lines:
            count = _decimal(lines[: lines.index(b"\n")].decode("latin-1"), "sparse map", start)
            wanted = 1 + 2 * min(count, MAX_EXTENSION_BYTES)
    values = [line.decode("latin-1") for line in bytes(lines).split(b"\n")[1:wanted]]
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
            f"a sparse member of {member.size} bytes has {member.stored} in the archive, and parts of {stored} "
            f"that reach to {end}",
            member.offset,
        )
