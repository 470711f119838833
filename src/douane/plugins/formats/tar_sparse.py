"""Sparse members of tar archives: GNU's first kind, and its three kinds in pax headers ("Storing Sparse Files")."""

from .tar_blocks import (
    BLOCK,
    MAX_EXTENSION_BYTES,
    TarError,
    TarHeader,
    TarMember,
    TarTruncated,
    decimal,
    number,
    padded,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator


def read_old_sparse(header: TarHeader, member: TarMember) -> "Generator[tuple[int, int], bytes, None]":
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


def read_pax_sparse(
    pax: "dict[str, str]", records: "list[tuple[str, str]]", member: TarMember
) -> "Generator[tuple[int, int], bytes, None]":
    """GNU's three kinds in pax headers: 0.0 with a record for each part, 0.1 with one record, 1.0 before the data."""
    at = member.offset
    real = pax.get("GNU.sparse.realsize", pax.get("GNU.sparse.size"))
    if real is None:
        raise TarError("a sparse member has no size", at)
    member.size = decimal(real, "size of a sparse member", at)
    version = pax.get("GNU.sparse.major", "0"), pax.get("GNU.sparse.minor", "0")
    if "GNU.sparse.major" not in pax:
        numbers = pax.get("GNU.sparse.map", "").split(",") if "GNU.sparse.map" in pax else []
        if "GNU.sparse.map" not in pax:
            numbers = [value for key, value in records if key in ("GNU.sparse.offset", "GNU.sparse.numbytes")]
        member.extents = _pairs([decimal(value, "sparse map", at) for value in numbers if value], at)
        return
    if version != ("1", "0"):
        raise TarError(f"a sparse member is of the version {'.'.join(version)[:20]}", at)
    lines = bytearray()
    line_count = 1
    start = member.data_offset
    complete = 0
    while complete < line_count:
        if len(lines) >= min(MAX_EXTENSION_BYTES, padded(member.stored)):
            raise TarError("the map of a sparse member has no end", start)
        block = yield start + len(lines), BLOCK
        if len(block) < BLOCK:
            raise TarTruncated("the archive ends inside a sparse map", start)
        lines += block
        complete += block.count(b"\n")
        if line_count == 1 and b"\n" in lines:
            count = decimal(lines[: lines.index(b"\n")].decode("latin-1"), "sparse map", start)
            line_count = 1 + 2 * min(count, MAX_EXTENSION_BYTES)
    values = [line.decode("latin-1") for line in bytes(lines).split(b"\n")[1:line_count]]
    member.extents = _pairs([decimal(value, "sparse map", start) for value in values], start)
    member.data_offset += len(lines)
    member.stored -= len(lines)


def _pairs(numbers: "list[int]", offset: int) -> "list[tuple[int, int]]":
    if len(numbers) % 2:
        raise TarError("a sparse map has an odd number of numbers", offset)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def check_extents(member: TarMember) -> None:
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
