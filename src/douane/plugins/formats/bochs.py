"""Growing disks of Bochs.

Format and limits: qemu, block/bochs.c; Bochs, iodev/hdimage/hdimage.h, redolog_header_t.
"""

import struct

from .base import Format
from .requests import Bytes
from .tables import Table, TableReader, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"Bochs Virtual HD Image\0"
HEADER_BYTES = 512
MAX_ENTRIES = 1 << 20
UNALLOCATED = 0xFFFFFFFF
DIFFERENCES = (b"Undoable", b"Volatile")


class Bochs(Format):
    """A redolog. Of its subtypes, "Growing" is a disk, the others are differences to a disk."""

    name = "bochs"
    about = "a growing disk of Bochs"
    disk_format = "bochs"
    signatures = ((0, MAGIC),)

    def read(self, match: "Match") -> "Reader":
        """Read the header, then the catalog of extents."""
        data = yield Bytes(0, HEADER_BYTES, "the header")
        kind, subtype = (data[at : at + 16].split(b"\0")[0] for at in (32, 48))
        version, header_bytes, entries, bitmap, extent = struct.unpack_from("<5I", data, 64)
        disk = struct.unpack_from("<Q", data, 84 if version == 0x10000 else 88)[0]
        match.variant = subtype.decode("ascii", "replace").lower()
        for name, value, offset in (
            *(("type", kind.decode("ascii", "replace"), 32), ("subtype", subtype.decode("ascii", "replace"), 48)),
            *(("version", version, 64), ("header", header_bytes, 68), ("catalog", entries, 72)),
            *(("bitmap", bitmap, 76), ("extent", extent, 80), ("disk", disk, 84 if version == 0x10000 else 88)),
        ):
            match.note(name, value, offset)
        match.virtual_size = disk // 512 * 512
        if subtype in DIFFERENCES:
            match.find("parent", f"its subtype is {match.variant!r}: the difference to another image", 48)
        elif kind != b"Redolog" or subtype != b"Growing":
            match.find("subformat", f"its type is {kind!r} {subtype!r}; only a growing redolog is a disk", 32)
        if version not in (0x10000, 0x20000):
            match.find("version", f"version is {version:#x}, but must be 0x10000 or 0x20000", 64)
            return
        if disk % 512:
            match.find("unaligned-size", f"disk is {disk}, no multiple of 512; tools round it differently", 88)
        if not disk:
            match.find("no-disk", "disk is 0")
        if not 512 <= extent <= 8 << 20 or extent & (extent - 1):
            match.find("header", f"extent is {extent}, but must be a power of two from 512 to {8 << 20}", 80)
            return
        if entries > MAX_ENTRIES:
            match.find("header", f"catalog is {entries}, but may be at most {MAX_ENTRIES}", 72)
            return
        if entries * extent < disk:
            match.find("virtual-size", f"disk is {disk}, but its {entries} extents have {entries * extent} bytes", 72)
        if header_bytes < HEADER_BYTES:
            match.find("overlap", f"header is {header_bytes}: the catalog overlaps the header", 68)
            return
        reader = TableReader(match, HEADER_BYTES)
        data_at = header_bytes + entries * 4
        step = 512 * (-(-bitmap // 512) + extent // 512)

        def use(piece: bytes) -> None:
            used = [entry for entry in numbers(piece, "<I") if entry != UNALLOCATED]
            if used:
                reader.must_reach(data_at + max(used) * step + 1, "an extent of the disk")
                match.data.add_blocks((data_at + entry * step + step - extent for entry in used), extent)

        if entries:
            reader.must_reach(data_at, "the catalog")
            reader.add(Table(header_bytes, entries * 4, "the catalog", use))
        yield from reader.read()
