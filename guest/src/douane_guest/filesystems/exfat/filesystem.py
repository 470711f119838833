"""Files and folders of an exFAT file system, as Linux' exfat shows them with its default options."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, only_guest_errors
from douane_guest.filesystems.base import FILE, FOLDER, Entry, Node, Unread
from douane_guest.filesystems.fat.names import from_utf16
from douane_guest.filesystems.fat.table import Clusters, Table
from douane_guest.filesystems.folding import UNITS, Key, by_table, capitals_of, expanded
from douane_guest.source import Source

from .boot import Boot
from .folder import CAPITALS, LABEL, RECORD, Ref, items

_READ_ONLY, _FOLDER = 0x01, 0x10
_FOLDER_BYTES = 256 << 20
"""The most that a folder may have (specification, section 6.1)."""

_LABEL_UNITS = 11
_CAPITALS = struct.Struct("<4xI12xIQ")
"""Checksum, first cluster and size of the table of capital letters."""


class ExFat:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "exfat"

    @only_guest_errors
    def __init__(self, source: Source, boot: Boot, budget: Budget) -> None:
        self._boot = boot
        self._budget = budget
        table = Table(source, boot.table, 0, boot.clusters, budget)
        self._clusters = Clusters(source, table, boot.data, boot.cluster)
        self.root = Ref(0, _FOLDER, 0, boot.root_cluster, 0, 0, chained=True)
        self.uuid = f"{boot.serial >> 16:04X}-{boot.serial & 0xFFFF:04X}"
        self.label = self._find_label()
        self._key: Key | None = None
        self.clean = not boot.dirty
        self.unread: list[Unread] = []
        """Always empty: there is no log, so nothing of an unclean file system lies elsewhere."""

    @only_guest_errors
    def node(self, ref: Ref) -> Node:
        """See the base."""
        if ref.attributes & _FOLDER:
            return Node(ref, FOLDER, 0o755, 0, 0, 0, ref.mtime_ns, detail=ref)
        mode = 0o555 if ref.attributes & _READ_ONLY else 0o755
        return Node(ref, FILE, mode, 0, 0, ref.size, ref.mtime_ns, detail=ref)

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See the base."""
        twice: set[bytes] = set()
        for item in items(self._records(node.detail)):
            name = from_utf16(item.name)
            if name in twice:
                raise Broken(f"a folder has two entries with the name {name!r}")
            twice.add(name)
            yield Entry(name, item.ref)

    @only_guest_errors
    def key(self, node: Node) -> Key:
        """See the base: by the volume's own table."""
        if self._key is None:
            self._key = self._read_capitals()
        return self._key

    def target(self, node: Node) -> bytes:
        """See the base: exFAT has no links."""
        raise Broken("exFAT has no links")

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See the base. What was never written is a hole."""
        ref: Ref = node.detail
        if ref.valid == 0:
            return
        for offset, _, data in self._clusters.pieces(ref.cluster, ref.valid, start, chained=ref.chained):
            yield offset, data

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See the base: exFAT has none."""
        return {}

    def place(self, node: Node) -> int:
        """See the base."""
        return self._clusters.place(node.detail.cluster) if node.detail.cluster >= 2 else 0

    def _records(self, ref: Ref) -> Iterator[tuple[int, bytes]]:
        """Those of a folder, with their places."""
        size = ref.size if ref.place else None
        if size is not None and size > _FOLDER_BYTES:
            raise TooMuch(f"a folder has {size} bytes, more than exFAT allows")
        if size == 0 and not ref.cluster:
            return
        # Linux looks a name up in the whole chain (fs/exfat/dir.c), and lists as many bytes as the folder has.
        position = 0
        for offset, place, data in self._clusters.pieces(
            ref.cluster, None if ref.chained else size, chained=ref.chained
        ):
            position = offset + len(data)
            if position > _FOLDER_BYTES:
                raise TooMuch("a folder has more bytes than exFAT allows")
            self._budget.step(len(data) // RECORD)
            for start in range(0, len(data) - RECORD + 1, RECORD):
                yield place + start, data[start : start + RECORD]
        if size is not None and not size <= position < size + self._clusters.size:
            raise Broken(f"a folder of the exFAT file system has {size} bytes, and {position} in its clusters")

    def _find_label(self) -> str:
        for _, record in self._records(self.root):
            if record[0] == 0:
                break
            if record[0] == LABEL:
                units = min(record[1], _LABEL_UNITS)
                return record[2 : 2 + 2 * units].decode("utf-16-le", "replace")
        return ""

    def _read_capitals(self) -> Key:
        for _, record in self._records(self.root):
            if record[0] == CAPITALS:
                checksum, cluster, size = _CAPITALS.unpack(record)
                if not 0 < size <= 2 * UNITS or size % 2:
                    raise Broken(f"the table of capital letters of the exFAT file system has {size} bytes")
                data = b"".join(piece for _, _, piece in self._clusters.pieces(cluster, size))
                if _sum_of(data) != checksum:
                    raise Broken("the checksum of the table of capital letters of the exFAT file system is wrong")
                return by_table(capitals_of(expanded(struct.unpack(f"<{size // 2}H", data))))
            if record[0] == 0:
                break
        raise Broken("the exFAT file system has no table of capital letters")


def _sum_of(data: bytes) -> int:
    value = 0
    for byte in data:
        value = ((value << 31 | value >> 1) + byte) & 0xFFFFFFFF
    return value
