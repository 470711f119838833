"""Headers of tar archives, strictly: v7, ustar, pax, GNU with long names, and sparse members of each kind.

POSIX.1-2017, pax: "ustar Interchange Format", "pax Extended Header"; GNU tar's manual: "Basic Tar Format",
"Storing Sparse Files". A header that programs are known to read differently is refused: the program that inspects an
archive and the program that unpacks it must see the same members (CVE-2025-62518, two sizes for one member).

Nothing here reads a file: :func:`read_member` asks for the bytes that it needs, in order.
"""

from .tar_blocks import (
    BLOCK,
    MAX_EXTENSION_BYTES,
    TarEnd,
    TarError,
    TarHeader,
    TarMember,
    TarTruncated,
    checksum_fits,
    decimal,
    padded,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    Need = tuple[int, int]  # offset and length in bytes of a piece of the archive

MAX_EXTENSIONS = 8
"""Extension headers before one member; tools write two or three."""

_ZEROS = bytes(BLOCK)
_LIMIT_OF_OCTAL = 1 << 33
"""The 12 bytes of a size hold 11 octal digits: less than 8 GiB."""

_ALONE = ("path", "linkpath", "size")
"""Keys that a global pax header must not set: programs disagree whether one name or size holds for all members."""


def begins_archive(head: bytes) -> bool:
    """True if `head` begins with a header that some program reads, even with a wrong checksum."""
    block = head[:BLOCK]
    if block[257:262] == b"ustar":
        return True
    if len(block) < BLOCK or not block[0] or not checksum_fits(block):
        return False
    try:
        return bool(TarHeader(block, 0).kind)
    except TarError:
        return False


def read_member(offset: int) -> "Generator[Need, bytes, TarMember | TarEnd]":
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
                return TarEnd(offset, 0)
            if block == _ZEROS:
                block = yield offset + BLOCK, BLOCK
                return TarEnd(offset + 2 * BLOCK, 2) if block == _ZEROS else TarEnd(offset + BLOCK, 1)
        if len(block) < BLOCK:
            raise TarTruncated("the archive ends inside a header", offset)
        header = TarHeader(block, offset)
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
        offset += padded(header.size)
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


def _member(
    header: TarHeader, start: int, offset: int, extensions: "dict[bytes, str]", records: "list[tuple[str, str]]"
) -> "Generator[Need, bytes, TarMember]":
    """Combine `header`, whose data is at `offset`, with the extension headers before it."""
    pax = dict(records)
    at = offset - BLOCK
    member = TarMember(header, start)
    if "path" in pax and b"L" in extensions and pax["path"] != extensions[b"L"]:
        raise TarError("a member has two long names", at)
    member.name = pax.get("GNU.sparse.name", pax.get("path", extensions.get(b"L", header.name)))
    member.link = pax.get("linkpath", extensions.get(b"K", header.link))
    if header.flag in (b"0", b"\0") and member.name.endswith("/"):
        member.kind = "directory"
    size = decimal(pax["size"], "size", at) if "size" in pax else header.size
    if size != header.size and size < _LIMIT_OF_OCTAL:
        raise TarError(f"a member has two sizes, {header.size} and {size}", at)
    if size and member.kind not in ("file", ""):
        # GNU tar skips as many bytes, other programs none: each sees other members after it.
        raise TarError(f"a {member.kind} claims {size} bytes", at)
    if "SCHILY.realsize" in pax:
        raise TarError("a member is sparse in a way that only star writes", at)
    member.data_offset, member.stored, member.size = offset, size, size
    member.end = offset + padded(size)
    from . import tar_sparse

    if header.flag == b"S":
        yield from tar_sparse.read_old_sparse(header, member)
    elif any(key.startswith("GNU.sparse.") for key in pax):
        yield from tar_sparse.read_pax_sparse(pax, records, member)
    if member.extents is not None:
        tar_sparse.check_extents(member)
    return member
