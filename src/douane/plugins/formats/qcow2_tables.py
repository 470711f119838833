"""The tables of a qcow2 image: whether they overlap, and whether their entries point into the file.

Entries are judged as by ``qemu-img check`` (qemu, block/qcow2-refcount.c): a cluster may begin in the file and end
outside, as the last cluster of a file need not be written to its end. A cluster that begins outside is damage.
"""

from douane_guest.headers.qcow2 import DATA_FILE, L1_RESERVED, LUKS, OFFSET, SNAPSHOT_HEADER_BYTES

from .qcow2_entries import L2Entries
from .requests import Tail
from .tables import Table, TableReader, numbers, overlapping_regions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_guest.headers.qcow2 import Qcow2Header

    from .match import Match
    from .requests import Reader

REFCOUNT_OFFSET = 0xFFFF_FFFF_FFFF_FE00
MAX_SNAPSHOT_EXTRA = 1024
MAX_ENCRYPTION_HEADER = 16 << 20
"""A LUKS1 header with eight keys of 64 bytes in 4000 stripes each has 2 MiB."""


def read_tables(match: "Match", header: "Qcow2Header", read_to: int, more: "list[tuple[int, int, str]]") -> "Reader":
    """Read the tables. `more` are further regions that the header names, as (offset, length, name)."""
    tables = Qcow2Tables(match, header, TableReader(match, read_to))
    tables.add(more)
    yield from tables.reader.read()
    yield from tables.judge_end()


class Qcow2Tables:
    """The tables of an image."""

    def __init__(self, match: "Match", header: "Qcow2Header", reader: "TableReader") -> None:
        self.match, self.header, self.reader = match, header, reader
        self._cluster = header.cluster_size
        self._unaligned = self._cluster - 1
        self._table_clusters: set[int] = set()
        """The clusters of tables that the header names."""
        self._last = 0
        self._entries = L2Entries(header.cluster_bits, header.l2_entry_bytes)

    def add(self, more: "list[tuple[int, int, str]]") -> None:
        """Add the tables that the header names."""
        header, match = self.header, self.match
        l1 = (header.l1_table_offset, header.l1_size * 8, "the L1 table")
        refcounts = (header.refcount_table_offset, header.refcount_table_bytes, "the refcount table")
        snapshots = (header.snapshots_offset, header.nb_snapshots * SNAPSHOT_HEADER_BYTES, "the snapshot table")
        regions = [l1, refcounts, snapshots, *more]
        valid = True
        for first, second, at in overlapping_regions([(0, self._cluster, "the header's cluster"), *regions]):
            match.find("overlap", f"{first} and {second}, which begins at {at}, overlap", at)
            valid = False
        for start, length, name in regions:
            if length and start % self._cluster == 0:
                # see the module: qemu writes all of the L1 table at once, and the other tables in whole clusters
                self.reader.must_reach(start + (length if name == l1[2] else 1), name)
                self._table_clusters.update(range(start, min(start + length, 1 << 63), self._cluster))
            elif length:
                valid = False
        if not valid:
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
            self.reader.find_once("header", "an L1 entry is no multiple of the cluster size", key="L1")
            return
        different = set(offsets)
        if len(different) < len(offsets):
            self.reader.find_once("overlap", "the L1 table has the same L2 table twice", key="L1 twice")
        if not different.isdisjoint(self._table_clusters):
            self.reader.find_once("overlap", "an L2 table overlaps another table", key="L2 and others")
        self.reader.must_reach(max(different) + 1, "an L2 table")
        if not self.header.incompatible_features & DATA_FILE:  # otherwise its entries are offsets in the data file
            self.reader.add_tables(different, self._cluster, "an L2 table", self._second_level)

    def _second_level(self, piece: bytes) -> None:
        if piece.count(0) == len(piece):
            return
        entries = self._entries.read(piece)
        if entries.reserved:
            self.reader.find_once("odd", "reserved bits are set in an L2 table", key="L2 bits")
        if entries.unaligned:
            self.reader.find_once("header", "an L2 entry is no multiple of the cluster size", key="L2")
        last = max(entries.offsets, default=0)
        if last:
            self.reader.must_reach(last + 1, "a cluster of the disk")
            self.match.data.add_blocks(filter(None, entries.data_clusters()), self._cluster)
            if not entries.compressed:
                self._last = max(self._last, last)
        if entries.any_of(self._table_clusters):
            self.reader.find_once("overlap", "a cluster of the disk overlaps a table", key="data and tables")

    def _refcounts(self, piece: bytes) -> None:
        entries = numbers(piece, ">Q")
        if any(entry & REFCOUNT_OFFSET & self._unaligned for entry in entries):
            self.reader.find_once("header", "a refcount table entry is no multiple of the cluster size", key="refs")
        last = max(map(REFCOUNT_OFFSET.__and__, entries), default=0)
        if last:
            self.reader.must_reach(last + 1, "a refcount block")

    def judge_end(self) -> "Reader":
        """Report a last cluster that is cut short, which is allowed."""
        if not self._last:
            return
        yield Tail(0)
        end = self._last + self._cluster
        if self._last < self.match.total < end and self.header.l2_entry_bytes == 8:
            self.match.find("odd", f"the image ends at {self.match.total}, in the cluster of the disk at {self._last}")


class Snapshots:
    """The snapshot table, read entry by entry, as an entry states its length: qcow2_do_read_snapshots()."""

    what = "the snapshot table"

    def __init__(self, tables: "Qcow2Tables") -> None:
        self.at = tables.header.snapshots_offset
        self.length = SNAPSHOT_HEADER_BYTES
        self._tables = tables
        self._remaining = tables.header.nb_snapshots
        self._names = 0
        self._id_bytes = 0
        self._extra = 0

    def take(self, piece: bytes) -> bool:
        """Use the header of the next entry, or its names; False at the end of the table."""
        if len(piece) < self.length:
            return False
        start = self.at
        if not self._names:
            return self._header(piece, start)
        named = piece[self._extra :]
        number = self._tables.header.nb_snapshots - self._remaining
        if number <= 8:
            name = named[self._id_bytes :].decode("utf-8", "replace")
            self._tables.match.note(f"snapshot {number}", name, start)
        self.at = -(-(start + len(piece)) // 8) * 8
        self.length, self._names = SNAPSHOT_HEADER_BYTES, 0
        return self._remaining > 0

    def skip(self) -> bool:
        """End the table: an entry that cannot be seen does not state where the next one is."""
        return False

    def _header(self, piece: bytes, start: int) -> bool:
        reader = self._tables.reader
        self._remaining -= 1
        l1 = int.from_bytes(piece[:8], "big")
        l1_bytes = int.from_bytes(piece[8:12], "big") * 8
        self._id_bytes = int.from_bytes(piece[12:14], "big")
        self._extra = int.from_bytes(piece[36:40], "big")
        if self._extra > MAX_SNAPSHOT_EXTRA:
            text = f"a snapshot has {self._extra} bytes of extra data, but may have {MAX_SNAPSHOT_EXTRA}"
            reader.find_once("header", text, start)
            return False
        if l1 % self._tables.header.cluster_size or l1_bytes > 32 << 20:
            text = f"the L1 table of a snapshot has {l1_bytes} bytes at {l1}, which is impossible"
            reader.find_once("header", text, start, key="snapshot L1")
        elif l1_bytes:
            reader.must_reach(l1 + l1_bytes, "the L1 table of a snapshot")
        rest = self._extra + self._id_bytes + int.from_bytes(piece[14:16], "big")
        self.at = start + SNAPSHOT_HEADER_BYTES
        self.length = self._names = rest
        if not rest:
            self.length = SNAPSHOT_HEADER_BYTES
        return self._remaining > 0 or rest > 0


def crypto_region(match: "Match", header: "Qcow2Header", data: bytes, offset: int) -> "tuple[int, int, str] | None":
    """Judge the extension that points to the LUKS header; return the region of the LUKS header."""
    if header.crypt_method != LUKS or len(data) != 16:
        text = f"an encryption header of {len(data)} bytes contradicts crypt_method {header.crypt_method}"
        match.find("header", text, offset)
        return None
    at, length = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")
    match.note("encryption header offset", at, offset)
    match.note("encryption header length", length, offset + 8)
    if at % header.cluster_size or length > MAX_ENCRYPTION_HEADER:
        match.find("header", f"the encryption header has {length} bytes at {at}, which is impossible", offset)
        return None
    return at, length, "the encryption header"
