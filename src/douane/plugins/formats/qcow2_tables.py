"""The tables of a qcow2 image: where they stand, and whether what they point to is in the file.

An entry is judged as ``qemu-img check`` does (qemu, block/qcow2-refcount.c): a cluster may begin in the file and end
behind it, because the last one of a file need not be written to its end; one that begins behind the end is damage.
"""

from .qcow2_entries import OFFSET, L2Entries
from .qcow2_header import DATA_FILE, LUKS, SNAPSHOT_HEADER_BYTES
from .requests import Tail
from .tables import Table, TableReader, numbers, overlapping_regions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .qcow2_header import Qcow2Header
    from .requests import Reader

L1_RESERVED = 0x7F00_0000_0000_01FF
REFCOUNT_OFFSET = 0xFFFF_FFFF_FFFF_FE00
MAX_SNAPSHOT_EXTRA = 1024
MAX_ENCRYPTION_HEADER = 16 << 20
"""A LUKS1 header with eight keys of 64 bytes in 4000 stripes each has 2 MiB."""


def read_tables(match: "Match", header: "Qcow2Header", seen: int, more: "list[tuple[int, int, str]]") -> "Reader":
    """Follow the tables; `more` are other regions that the header names, as (offset, length, name)."""
    tables = Qcow2Tables(match, header, TableReader(match, seen))
    tables.add(more)
    yield from tables.reader.read()
    yield from tables.judge_end()


class Qcow2Tables:
    """What one image's tables say."""

    def __init__(self, match: "Match", header: "Qcow2Header", reader: "TableReader") -> None:
        self.match, self.header, self.reader = match, header, reader
        self._cluster = header.cluster_size
        self._unaligned = self._cluster - 1
        self._taken: set[int] = set()
        """The clusters of tables that the header names."""
        self._last = 0
        self._entries = L2Entries(header.cluster_bits, header.l2_entry_bytes)

    def add(self, more: "list[tuple[int, int, str]]") -> None:
        """Begin with what the header names."""
        header, match = self.header, self.match
        l1 = (header.l1_table_offset, header.l1_size * 8, "the L1 table")
        refcounts = (header.refcount_table_offset, header.refcount_table_bytes, "the refcount table")
        snapshots = (header.snapshots_offset, header.nb_snapshots * SNAPSHOT_HEADER_BYTES, "the snapshot table")
        regions = [l1, refcounts, snapshots, *more]
        wrong = False
        for first, second, at in overlapping_regions([(0, self._cluster, "the header's cluster"), *regions]):
            match.find("overlap", f"{first} and {second}, which begins at {at}, overlap", at)
            wrong = True
        for start, length, name in regions:
            if length and start % self._cluster == 0:
                # as above: all of the L1 table is written at once, the others are padded to clusters by qemu
                self.reader.must_reach(start + (length if name == l1[2] else 1), name)
                self._taken.update(range(start, min(start + length, 1 << 63), self._cluster))
            elif length:
                wrong = True
        if wrong:
            return
        if header.l1_size:
            self.reader.add(Table(*l1, self._first_level))
        if refcounts[1]:
            self.reader.add(Table(*refcounts, self._refcounts))
        if header.nb_snapshots:
            self.reader.add(Snapshots(self))

    def _first_level(self, piece: bytes) -> None:
        entries = numbers(piece, ">Q")
        if any(entry & L1_RESERVED for entry in entries):
            self.reader.find_once("odd", "reserved bits are set in the L1 table", key="L1 bits")
        offsets = list(filter(None, map(OFFSET.__and__, entries)))
        if not offsets:
            return
        if any(offset & self._unaligned for offset in offsets):
            self.reader.find_once(
                "header", "the L1 table has entries that are no multiple of the cluster size", key="L1"
            )
            return
        different = set(offsets)
        if len(different) < len(offsets):
            self.reader.find_once("overlap", "the L1 table has the same L2 table twice", key="L1 twice")
        if not different.isdisjoint(self._taken):
            self.reader.find_once("overlap", "an L2 table is where another table is", key="L2 and others")
        self.reader.must_reach(max(different) + 1, "an L2 table")
        if not self.header.incompatible_features & DATA_FILE:  # else its entries are offsets in that
            self.reader.add_tables(different, self._cluster, "an L2 table", self._second_level)

    def _second_level(self, piece: bytes) -> None:
        if piece.count(0) == len(piece):
            return
        found = self._entries.read(piece)
        if found.reserved:
            self.reader.find_once("odd", "reserved bits are set in an L2 table", key="L2 bits")
        if found.unaligned:
            self.reader.find_once(
                "header", "an L2 table has entries that are no multiple of the cluster size", key="L2"
            )
        last = max(found.offsets, default=0)
        if last:
            self.reader.must_reach(last + 1, "a cluster of the disk")
            if not found.compressed:
                self._last = max(self._last, last)
        if found.any_of(self._taken):
            self.reader.find_once("overlap", "a cluster of the disk is where a table is", key="data and tables")

    def _refcounts(self, piece: bytes) -> None:
        entries = numbers(piece, ">Q")
        if any(entry & REFCOUNT_OFFSET & self._unaligned for entry in entries):
            self.reader.find_once(
                "header", "the refcount table has entries that are no multiple of the cluster size", key="refs"
            )
        last = max(map(REFCOUNT_OFFSET.__and__, entries), default=0)
        if last:
            self.reader.must_reach(last + 1, "a refcount block")

    def judge_end(self) -> "Reader":
        """The last cluster may be cut short, but that is worth a word."""
        if not self._last:
            return
        yield Tail(0)
        end = self._last + self._cluster
        if self._last < self.match.total < end and self.header.l2_entry_bytes == 8:
            self.match.find(
                "odd",
                f"the image ends at {self.match.total}, in the middle of the cluster of the disk at {self._last}",
            )


class Snapshots:
    """The snapshot table, read entry by entry, as their length is in them: qcow2_do_read_snapshots()."""

    what = "the snapshot table"

    def __init__(self, tables: "Qcow2Tables") -> None:
        self.at = tables.header.snapshots_offset
        self.length = SNAPSHOT_HEADER_BYTES
        self._tables = tables
        self._left = tables.header.nb_snapshots
        self._names = 0
        self._id_bytes = 0
        self._extra = 0

    def take(self, piece: bytes) -> bool:
        """Use the next entry's header, or what follows it; False when the table has ended."""
        if len(piece) < self.length:
            return False
        start = self.at
        if not self._names:
            return self._header(piece, start)
        named = piece[self._extra :]
        number = self._tables.header.nb_snapshots - self._left
        if number <= 8:
            name = named[self._id_bytes :].decode("utf-8", "replace")
            self._tables.match.note(f"snapshot {number}", name, start)
        self.at = -(-(start + len(piece)) // 8) * 8
        self.length, self._names = SNAPSHOT_HEADER_BYTES, 0
        return self._left > 0

    def skip(self) -> bool:
        """It cannot be seen."""
        return False

    def _header(self, piece: bytes, start: int) -> bool:
        reader = self._tables.reader
        self._left -= 1
        l1 = int.from_bytes(piece[:8], "big")
        l1_bytes = int.from_bytes(piece[8:12], "big") * 8
        self._id_bytes = int.from_bytes(piece[12:14], "big")
        self._extra = int.from_bytes(piece[36:40], "big")
        if self._extra > MAX_SNAPSHOT_EXTRA:
            reader.find_once(
                "header", f"a snapshot has {self._extra} bytes of extra data; {MAX_SNAPSHOT_EXTRA} are allowed", start
            )
            return False
        if l1 % self._tables.header.cluster_size or l1_bytes > 32 << 20:
            reader.find_once(
                "header", f"a snapshot's L1 table of {l1_bytes} bytes is at {l1}", start, key="snapshot L1"
            )
        elif l1_bytes:
            reader.must_reach(l1 + l1_bytes, "a snapshot's L1 table")
        rest = self._extra + self._id_bytes + int.from_bytes(piece[14:16], "big")
        self.at = start + SNAPSHOT_HEADER_BYTES
        self.length = self._names = rest
        if not rest:
            self.length = SNAPSHOT_HEADER_BYTES
        return self._left > 0 or rest > 0


def crypto_region(match: "Match", header: "Qcow2Header", data: bytes, offset: int) -> "tuple[int, int, str] | None":
    """Judge the extension that says where the LUKS header stands, and return that."""
    if header.crypt_method != LUKS or len(data) != 16:
        match.find(
            "header", f"an encryption header of {len(data)} bytes, and crypt_method is {header.crypt_method}", offset
        )
        return None
    at, length = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")
    match.note("encryption header offset", at, offset)
    match.note("encryption header length", length, offset + 8)
    if at % header.cluster_size or length > MAX_ENCRYPTION_HEADER:
        match.find("header", f"the encryption header of {length} bytes is at {at}", offset)
        return None
    return at, length, "the encryption header"
