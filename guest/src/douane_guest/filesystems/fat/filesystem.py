"""Files and folders of a FAT file system, as Linux' vfat shows them with its default options."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, only_guest_errors
from douane_guest.filesystems import folding
from douane_guest.filesystems.base import FILE, FOLDER, Entry, Node, Unread
from douane_guest.filesystems.folding import Key
from douane_guest.source import Source

from . import names
from .boot import Boot
from .table import Clusters, Table

RECORD = 32
_READ_ONLY, _VOLUME, _FOLDER = 0x01, 0x08, 0x10
_DELETED = 0xE5
_FIELDS = struct.Struct("<20xHHHHI")
_DOTS = (b".          ", b"..         ")
_CLEAN_BIT = {16: 0x8000, 32: 0x08000000}


class Ref(NamedTuple):
    """An entry of a folder: an object of FAT has no other number."""

    place: int
    """The byte at which it lies; 0: the root folder."""

    record: bytes


class Fat:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "vfat"

    @only_guest_errors
    def __init__(self, source: Source, boot: Boot, budget: Budget) -> None:
        self._source = source
        self._boot = boot
        self._budget = budget
        self._table = Table(source, boot.table, boot.bits, boot.clusters, budget)
        self._clusters = Clusters(source, self._table, boot.data, boot.cluster)
        self.root = Ref(0, bytes(RECORD))
        self.uuid = "" if boot.serial is None else f"{boot.serial >> 16:04X}-{boot.serial & 0xFFFF:04X}"
        self.label = self._find_label()
        mounted = _CLEAN_BIT.get(boot.bits, 0)
        self.clean = not boot.dirty and self._table.entry(1) & mounted == mounted
        self.unread: list[Unread] = []
        """Always empty: there is no log, so nothing of an unclean file system lies elsewhere."""

    @only_guest_errors
    def node(self, ref: Ref) -> Node:
        """See the base."""
        if ref.place == 0:
            return Node(ref, FOLDER, 0o755, 0, 0, 0, 0, detail=self._boot.root_cluster)
        high, time, date, low, size = _FIELDS.unpack(ref.record)
        cluster = high << 16 | low if self._boot.bits == 32 else low
        mtime = names.seconds(date, time) * 1_000_000_000
        if ref.record[11] & _FOLDER:
            return Node(ref, FOLDER, 0o755, 0, 0, 0, mtime, detail=cluster)
        return Node(ref, FILE, 0o555 if ref.record[11] & _READ_ONLY else 0o755, 0, 0, size, mtime, detail=cluster)

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See the base. Linux reads on behind an entry that begins with zero, at which others stop: so does this."""
        long = names.LongName()
        twice: set[bytes] = set()
        for place, record in self._records(node):
            attributes = record[11]
            if attributes == names.LONG and record[0] != _DELETED:
                long.add(record)
                continue
            wide = long.take(record[:11])
            if record[0] in (0, _DELETED) or attributes & _VOLUME:
                continue
            if node.ref.place and record[:11] in _DOTS:
                continue
            name = names.from_utf16(wide) if wide else names.short_name(record)
            if name in twice:
                raise Broken(f"a folder has two entries with the name {name!r}")
            twice.add(name)
            yield Entry(name, Ref(place, record))

    def key(self, node: Node) -> Key:
        """See the base."""
        return folding.simple

    @only_guest_errors
    def names(self, node: Node, wanted: bytes) -> Iterator[Entry]:
        """See the base: a file with a long name is found by its short one, too. Firmware may know no other."""
        for entry in self.entries(node):
            yield entry
            short = names.short_name(entry.ref.record)
            if short != entry.name:
                yield Entry(short, entry.ref)

    def target(self, node: Node) -> bytes:
        """See the base: FAT has no links."""
        raise Broken("FAT has no links")

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See the base. Clusters that two files share are read for both, as all systems do."""
        if node.size == 0:
            return
        for offset, _, data in self._clusters.pieces(node.detail, node.size, start):
            yield offset, data

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See the base: FAT has none."""
        return {}

    @only_guest_errors
    def place(self, node: Node) -> int:
        """See the base."""
        return self._clusters.place(node.detail) if node.detail >= 2 else 0

    def _records(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Those of a folder, with their places, but for empty ones."""
        for start, data in self._folder(node):
            self._budget.step(len(data) // RECORD)
            for offset in range(0, len(data), RECORD):
                if data[offset]:
                    yield start + offset, data[offset : offset + RECORD]

    def _folder(self, node: Node) -> Iterator[tuple[int, bytes]]:
        if node.ref.place == 0 and self._boot.bits != 32:
            yield self._boot.root_place, self._source.pread(self._boot.root_place, self._boot.root_bytes)
            return
        for _, place, data in self._clusters.pieces(node.detail, None):
            yield place, data

    def _find_label(self) -> str:
        for _, record in self._records(self.node(self.root)):
            if record[11] & (_VOLUME | _FOLDER) == _VOLUME and record[11] != names.LONG and record[0] != _DELETED:
                raw = b"\xe5" + record[1:11] if record[0] == 0x05 else record[:11]
                return raw.decode("cp437").rstrip(" \0")
        return ""
