"""ISO 9660 (ECMA-119), the file system of CDs and DVDs, with Joliet, Rock Ridge, El Torito and UDF."""

from douane_guest.headers.numbers import be32, u16, u32

from .base import Format
from .raw_content import read_whole_disk
from .requests import Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

SECTOR = 2048
FIRST = 16
"""The sector of the first volume descriptor (ECMA-119, 6.2.1). The sectors before it are free for any use."""

MAX_DESCRIPTORS = 64
"""The number of descriptors that are read. Real images have up to a dozen; Linux reads sectors 16 to 99
(fs/isofs/inode.c)."""

BOOT, PRIMARY, SUPPLEMENTARY, PARTITION, TERMINATOR = 0, 1, 2, 3, 255
JOLIET = (b"%/@", b"%/C", b"%/E")


def is_iso(head: bytes) -> bool:
    """True if the first 72 KiB have a primary volume descriptor: in sector 16 as by the standard, or in a later sector,
    as Linux skips descriptors that it does not know."""
    return any(
        head[at : at + 6] == b"\x01CD001"
        for at in range(FIRST * SECTOR, min(len(head), (72 << 10) - SECTOR + 1), SECTOR)
    )


class Iso(Format):
    """The disk is the whole image."""

    name = "iso"
    about = "an optical disc"
    disk_format = "iso"
    declared_as = ("iso",)
    allowed = True
    qemu_driver = "raw"

    def begins(self, head: bytes) -> bool:
        return is_iso(head)

    def read(self, match: "Match") -> "Reader":
        match.spawn(read_whole_disk(match))
        from . import iso_directory

        primary = b""
        extensions = []
        roots = {}
        for number in range(MAX_DESCRIPTORS):
            at = (FIRST + number) * SECTOR
            sector = yield Bytes(at, SECTOR, "a volume descriptor", short=True)
            if sector[1:6] in (b"BEA01", b"NSR02", b"NSR03", b"TEA01", b"BOOT2", b"CDW02"):
                if sector[1:4] == b"NSR":
                    extensions.append("UDF")
                continue
            if len(sector) < SECTOR or (sector[1:6] != b"CD001" and (primary or number >= 20)):
                if len(sector) < SECTOR and number == 0:
                    match.find("truncated", f"its first volume descriptor ends at {at + SECTOR}", at)
                break
            if sector[1:6] != b"CD001":
                match.find("odd", f"sector {FIRST + number} is not a volume descriptor", at)
                continue
            kind = sector[0]
            if kind == PRIMARY and not primary:
                primary = sector
                match.signatures = (at,)
                if number:
                    match.find("odd", f"its first volume descriptor is in sector {FIRST + number}, not {FIRST}", at)
                read_volume(match, sector, at)
                roots[u32(sector, 158)] = (sector[156:190], iso_directory.ROOT)
            elif kind == PRIMARY:
                if sector[:8] + sector[80:190] != primary[:8] + primary[80:190]:
                    text = "it has two different primary volume descriptors: tools differ in which they read"
                    match.find("header", text, at)
            elif kind == SUPPLEMENTARY and sector[88:91] in JOLIET:
                if "Joliet" not in extensions:
                    extensions.append("Joliet")
                    roots.setdefault(u32(sector, 158), (sector[156:190], "Joliet's root directory"))
            elif kind == BOOT and sector[7:30] == b"EL TORITO SPECIFICATION":
                catalog = u32(sector, 71)
                match.note("boot catalog", f"El Torito, sector {catalog}", at + 71)
                match.must_reach((catalog + 1) * SECTOR, "the boot catalog")
        if extensions:
            match.variant = "+".join(extensions)
        for _, (record, what) in sorted(roots.items()):
            yield from iso_directory.read(match, record, what)


def read_volume(match: "Match", sector: bytes, at: int) -> None:
    """Read the primary volume descriptor in `sector`, which is at `at` in the image (ECMA-119, 8.4)."""
    match.note("volume", sector[40:72].decode("ascii", "replace").strip(), at + 40)
    match.note("system", sector[8:40].decode("ascii", "replace").strip(), at + 8)
    if sector[6] != 1:
        match.find("version", f"the version of its volume descriptor is {sector[6]}", at + 6)
    block = both16(match, sector, at, 128, "size of a block")
    sectors = both32(match, sector, at, 80, "blocks of the volume")
    table = both32(match, sector, at, 132, "bytes of the path table")
    if block not in (512, 1024, 2048):
        match.find("header", f"a block cannot have {block} bytes", at + 128)
        return
    match.note("volume size", sectors * block, at + 80)
    match.spawn(_check_end(match, sectors * block, at))
    match.must_reach(u32(sector, 140) * block + table, "the path table")
    match.must_reach(be32(sector, 148) * block + table, "the path table for big-endian machines")
    if sectors == 0:
        match.find("header", "its volume has no blocks", at + 80)
    root = sector[156:190]
    if root[0] != 34 or not root[25] & 2:
        match.find("header", "the record of its root directory is not a directory record", at + 156)


def _check_end(match: "Match", end: int, at: int) -> "Reader":
    """Check that the volume is complete."""
    if match.size is None:
        yield Tail(0)
    if end > match.total:
        match.find("truncated", f"its volume ends at {end}, but the image at {match.total}", at + 80)


def both16(match: "Match", data: bytes, at: int, offset: int, what: str) -> int:
    """The number at `offset`, which is written in both byte orders: the first of them, as Linux reads it."""
    little, big = u16(data, offset), int.from_bytes(data[offset + 2 : offset + 4], "big")
    return _agree(match, little, big, at + offset, what)


def both32(match: "Match", data: bytes, at: int, offset: int, what: str) -> int:
    """As :func:`both16`, of 32 bits."""
    return _agree(match, u32(data, offset), be32(data, offset + 4), at + offset, what)


def _agree(match: "Match", little: int, big: int, at: int, what: str) -> int:
    # Some mastering programs leave out the second number ("stupid mastering programs", Linux' isofs.h)
    if little != big:
        code = "odd" if big == 0 else "header"
        match.find(code, f"{what}: {little} in little-endian order, but {big} in big-endian order", at)
    return little
