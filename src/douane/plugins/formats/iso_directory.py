"""The root directory of an ISO 9660 volume: ECMA-119, 9.1, and for Rock Ridge IEEE P1281 (SUSP) 5.3."""

from douane_guest.headers.numbers import be32, u32

from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

SECTOR = 2048
MAX_BYTES = 1 << 18
"""The bytes of a directory that are read: some 2000 files."""

MIN_RECORD_BYTES = 34
ROOT = "the root directory"


def read(match: "Match", record: bytes, what: str) -> "Reader":
    """Read the directory `what`, to which the `record` in a volume descriptor points.

    If the directory precedes a structure that was read before, one pass cannot see it: ``unchecked``.
    """
    place, size = u32(record, 2), u32(record, 10)
    at = place * SECTOR
    match.must_reach(at + size, what)
    if size == 0:
        match.find("header", f"{what} has no bytes", at)
        return
    for begin in range(0, min(size, MAX_BYTES), SECTOR):
        length = min(SECTOR, size - begin)
        sector = yield Bytes(at + begin, length, what, short=True, essential=False)
        if len(sector) < length:
            return
        if begin == 0:
            if not _is_self(match, sector, place, what, at):
                return
            match.is_rooted = match.is_rooted or what == ROOT
            if sector[34:36] == b"SP" and sector[38:40] == b"\xbe\xef":
                match.note("Rock Ridge", "in use", at + 34)
        if not _records(match, sector, what, at + begin):
            return


def _is_self(match: "Match", sector: bytes, place: int, what: str, at: int) -> bool:
    """Check that the first record of a directory is that of the directory itself (ECMA-119, 6.8.2.2)."""
    if sector[0] < MIN_RECORD_BYTES or sector[32:34] != b"\x01\0" or not sector[25] & 2:
        match.find("header", f"{what} at sector {place} does not begin with a record of itself", at)
        return False
    if u32(sector, 2) != place:
        match.find("odd", f"{what} is at sector {place}, but states sector {u32(sector, 2)}", at + 2)
    return True


def _records(match: "Match", sector: bytes, what: str, at: int) -> bool:
    """Check the records of a sector; False after an impossible record, as the next record cannot be found."""
    offset = 0
    while offset < len(sector) and sector[offset]:
        length = sector[offset]
        record = sector[offset : offset + length]
        if length < MIN_RECORD_BYTES or len(record) < length or 33 + record[32] > length:
            match.find("header", f"a record in {what} cannot have {length} bytes", at + offset)
            return False
        first, size = u32(record, 2), u32(record, 10)
        if size and be32(record, 14) not in (size, 0):
            text = f"a file in {what} has {size} bytes in little-endian order, but {be32(record, 14)} in big-endian"
            match.find("header", text, at + offset + 10)
            return False
        if size and be32(record, 6) not in (first, 0):
            text = f"a file in {what} is at {first} in little-endian order, but at {be32(record, 6)} in big-endian"
            match.find("header", text, at + offset + 2)
            return False
        if size and not record[25] & 0x80:
            match.must_reach(first * SECTOR + size, f"the file {bytes(record[33 : 33 + record[32]])!r}")
        offset += length
    return True
