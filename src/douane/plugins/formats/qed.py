"""QED, a format of QEMU between two versions of qcow2.

Format: qemu, docs/interop/qed_spec.txt. Limits: block/qed.h, and bdrv_qed_do_open() in block/qed.c.
"""

from douane_guest.headers.qed import BACKING_FILE, FIELDS, KNOWN_FEATURES, MAGIC, NEED_CHECK, ZERO_CLUSTER, QedHeader
from douane_guest.headers.qed import BYTES as HEADER_BYTES

from .base import Format
from .requests import Bytes
from .tables import Table, TableReader, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAX_BACKING_NAME = 1023


class Qed(Format):
    """Recognised by its magic alone, as by qemu."""

    name = "qed"
    about = "QEMU's enhanced disk, no longer developed"
    disk_format = "qed"
    declared_as = ("qed",)
    qemu_driver = "qed"
    signatures = ((0, MAGIC),)

    def read(self, match: "Match") -> "Reader":
        """Read the header and the name of the backing file, then the tables."""
        data = yield Bytes(0, HEADER_BYTES, "the header")
        header = QedHeader(data)
        for name, offset in FIELDS:
            match.note(name, getattr(header, name), offset)
        cluster, header_clusters = header.cluster_size, header.header_size
        features, l1_at, size = header.features, header.l1_table_offset, header.image_size
        name_at, name_bytes = header.backing_filename_offset, header.backing_filename_size
        match.virtual_size = size
        if features & ~KNOWN_FEATURES:
            match.find("unknown-feature", f"unknown feature bits: {features & ~KNOWN_FEATURES:#x}", 16)
        if features & NEED_CHECK:
            match.find("dirty", "feature bit 1: it must be checked before it is used", 16)
        if features & BACKING_FILE:
            yield from _backing_file(match, name_at, name_bytes)
        if size % 512:
            match.find("unaligned-size", f"image_size is {size}, no multiple of 512; tools round it differently", 48)
        if not size:
            match.find("no-disk", "image_size is 0", 48)
        if header.fault:
            match.find("header", header.fault, 4 if header.fault.startswith("cluster_size") else 8)
            return
        table_bytes = header.table_bytes
        max_size = (table_bytes // 8) ** 2 * cluster
        if size > max_size:
            match.find("virtual-size", f"image_size is {size}, but its tables allow at most {max_size}", 48)
        header_bytes = header_clusters * cluster
        if header_bytes > 1 << 32:
            match.find("header", f"header_size is {header_clusters} clusters", 12)
            return
        if features & BACKING_FILE and name_at + name_bytes > header_bytes:
            match.find("header", f"the backing file name, {name_bytes} bytes at {name_at}, leaves the header", 56)
        if l1_at % cluster:
            match.find("header", f"l1_table_offset is {l1_at}, no multiple of the cluster size {cluster}", 40)
        elif l1_at < max(header_bytes, HEADER_BYTES):
            match.find("overlap", f"the L1 table at {l1_at} overlaps the header of {header_bytes} bytes", 40)
        else:
            yield from _Tables(match, cluster, table_bytes, max(header_bytes, HEADER_BYTES), l1_at).read()


def _backing_file(match: "Match", at: int, length: int) -> "Reader":
    if not 0 < length <= MAX_BACKING_NAME:
        match.find("header", f"the name of the backing file has {length} bytes, not 1 to {MAX_BACKING_NAME}", 60)
    if at > 1 << 20:
        match.find("backing-file", f"it names a backing file, at {at}", 56)
        return
    name = yield Bytes(at, min(length, MAX_BACKING_NAME), "the name of the backing file", short=True)
    text = name.decode("utf-8", "replace")
    match.note("backing file", text, at)
    match.find("backing-file", f"it names the backing file {text!r}", at)


class _Tables:
    """The tables, with the checks of qemu: qed_check_table_offset() and qed_check_cluster_offset() in block/qed.h, and
    block/qed-check.c."""

    def __init__(self, match: "Match", cluster: int, table_bytes: int, header_bytes: int, l1_at: int) -> None:
        self._match = match
        self._cluster, self._table_bytes, self._header_bytes = cluster, table_bytes, header_bytes
        self._l1 = range(l1_at, l1_at + table_bytes, cluster)
        self._reader = TableReader(match, HEADER_BYTES)

    def read(self) -> "Reader":
        """Read the tables."""
        self._reader.must_reach(self._l1.start + self._table_bytes, "the L1 table")
        self._reader.add(Table(self._l1.start, self._table_bytes, "the L1 table", self._first_level))
        yield from self._reader.read()

    def _first_level(self, piece: bytes) -> None:
        offsets = list(filter(None, numbers(piece, "<Q")))
        different = set(offsets)
        if len(different) < len(offsets):
            self._reader.find_once("overlap", "the L1 table has the same L2 table twice", key="twice")
        if different and self._judge(different, "an L2 table", self._table_bytes):
            self._reader.add_tables(different, self._table_bytes, "an L2 table", self._second_level)

    def _second_level(self, piece: bytes) -> None:
        if piece.count(0) == len(piece):
            return
        offsets = set(numbers(piece, "<Q"))
        offsets -= {0, ZERO_CLUSTER}
        if offsets and self._judge(offsets, "a cluster of the disk", 1):
            self._match.data.add_blocks(offsets, self._cluster)

    def _judge(self, offsets: "set[int]", what: str, length: int) -> bool:
        unaligned = self._cluster - 1
        if any(offset & unaligned for offset in offsets):
            self._reader.find_once("header", f"the offset of {what} is no multiple of the cluster size", key=what)
            return False
        if max(offsets) >= 1 << 63:
            self._reader.find_once("header", f"{what} is at {max(offsets)}", key=what)
            return False
        if min(offsets) < self._header_bytes or not offsets.isdisjoint(self._l1):
            self._reader.find_once("overlap", f"{what} overlaps the header or the L1 table", key=f"{what} and others")
        self._reader.must_reach(max(offsets) + length, what)
        return True
