"""One block of a tar archive as a header: its fields and its checksum; and the members that headers describe."""

BLOCK = 512
MAX_EXTENSION_BYTES = 1 << 20
"""Largest pax header, long name and sparse map. Real names have at most a few kilobytes."""


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


class TarError(ValueError):
    """The archive contradicts itself. Attribute `offset`: of the header, in bytes."""

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail)
        self.offset = offset


class TarTruncated(TarError):
    """The archive ends inside a header."""


class TarHeader:
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


class TarMember:
    """A member of the archive, by all its headers together."""

    __slots__ = ("data_offset", "end", "extents", "flag", "kind", "link", "name", "offset", "size", "stored")

    def __init__(self, header: TarHeader, offset: int) -> None:
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


class TarEnd:
    """The end of the archive. `offset`: of the bytes after it; `blocks`: how many of the two blocks of zeros that mark
    the end are there."""

    __slots__ = ("blocks", "offset")

    def __init__(self, offset: int, blocks: int) -> None:
        self.offset, self.blocks = offset, blocks


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


def decimal(value: str, subject: str, offset: int) -> int:
    """A number in a pax header. Raises TarError."""
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise TarError(f"the {subject} in a pax header is not a number: {value[:40]!r}", offset)
    return int(value)


def padded(size: int) -> int:
    """`size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK
