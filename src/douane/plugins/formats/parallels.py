"""Expandable images of Parallels (.hds), which Virtuozzo and Glance call ploop.

Format: qemu, docs/interop/parallels.txt. Limits: parallels_open() in block/parallels.c.
"""

import struct

from .base import Format
from .requests import Bytes
from .tables import Table, TableReader, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC, MAGIC_EXTENDED = b"WithoutFreeSpace", b"WithouFreSpacExt"
HEADER_BYTES = 64
IN_USE = 0x746F6E59
CLOSED = (0, 0x312E3276)
MAX_TRACKS = ((1 << 31) - 1) // 513
MAX_ENTRIES = ((1 << 31) - 1) // 4

NAMES = (
    *(("version", 16), ("heads", 20), ("cylinders", 24), ("tracks", 28), ("nb_bat_entries", 32), ("nb_sectors", 36)),
    *(("in_use", 44), ("data_off", 48), ("flags", 52), ("ext_off", 56)),
)


class Parallels(Format):
    """Recognised by either magic; the extended format counts in clusters instead of sectors."""

    name = "parallels"
    about = "an expandable disk of Parallels"
    disk_format = "ploop"
    declared_as = ("ploop", "parallels")
    allowed = True
    qemu_driver = "parallels"
    signatures = ((0, MAGIC), (0, MAGIC_EXTENDED))

    def read(self, match: "Match") -> "Reader":
        """Read the header, then the block allocation table."""
        data = yield Bytes(0, HEADER_BYTES, "the header")
        values = struct.unpack("<IIIIIQIIIQ", data[16:])
        for (name, offset), value in zip(NAMES, values, strict=True):
            match.note(name, value, offset)
        version, _, _, tracks, entries, sectors, in_use, data_off, _, ext_off = values
        extended = data[:16] == MAGIC_EXTENDED
        match.variant = "extended" if extended else "plain"
        if not extended:
            sectors &= 0xFFFFFFFF
        match.virtual_size = sectors * 512
        if version != 2:
            match.find("version", f"version is {version}, but must be 2", 16)
            return
        if in_use == IN_USE:
            match.find("dirty", "in_use is set: the program that opened it did not close it", 44)
        elif in_use not in CLOSED:
            match.find("odd", f"in_use is {in_use:#x}, which has no meaning", 44)
        if not sectors:
            match.find("no-disk", "nb_sectors is 0", 36)
        if not 0 < tracks <= MAX_TRACKS:
            match.find("header", f"tracks (sectors per cluster) is {tracks}, but must be 1 to {MAX_TRACKS}", 28)
            return
        if entries > MAX_ENTRIES:
            match.find("header", f"nb_bat_entries is {entries}, but may be at most {MAX_ENTRIES}", 32)
            return
        if sectors > entries * tracks:
            match.find("virtual-size", f"nb_sectors is {sectors}, but {entries} clusters have {entries * tracks}", 36)
        table_end = HEADER_BYTES + entries * 4
        if data_off and data_off * 512 < table_end:
            match.find("overlap", f"data_off is {data_off} sectors, but the table of clusters ends at {table_end}", 48)
        reader = TableReader(match, HEADER_BYTES)
        if ext_off:
            # In sectors by parallels_read_format_extension(); in clusters by the specification of "WithouFreSpacExt".
            # An offset outside the file in sectors is outside in clusters, too.
            reader.must_reach(ext_off * 512 + 1, "the format extension")
        unit = tracks * 512 if extended else 512

        def use(piece: bytes) -> None:
            offsets = numbers(piece, "<I")
            last = max(offsets, default=0)
            if last:
                reader.must_reach(last * unit + 1, "a cluster of the disk")
                match.data.add_blocks((offset * unit for offset in filter(None, offsets)), tracks * 512)
                if min(filter(None, offsets)) * unit < table_end:
                    reader.find_once("overlap", "a cluster of the disk overlaps the header or the table of clusters")

        if entries:
            reader.must_reach(table_end, "the table of clusters")
            reader.add(Table(HEADER_BYTES, entries * 4, "the table of clusters", use))
        yield from reader.read()
