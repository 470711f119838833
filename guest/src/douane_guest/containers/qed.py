"""QED, a format of QEMU between two versions of qcow2 (qemu, docs/interop/qed_spec.txt)."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers import qed as header_fields
from douane_guest.headers.qed import MAGIC, QedHeader
from douane_guest.source import Source

from .blocks import ZERO, BlockDisk
from .numbers import Numbers
from .padded import Padded


def probe(source: Source) -> bool:
    """True for the magic, as qemu."""
    return source.size >= header_fields.BYTES and source.pread(0, 4) == MAGIC


def open(source: Source, budget: Budget) -> QedDisk:
    """Read the header, and refuse a difference to another file."""
    header = QedHeader(source.pread(0, header_fields.BYTES))
    if header.features & header_fields.BACKING_FILE:
        raise Unsupported("the qed is a difference to another file, its backing file")
    if header.features & ~header_fields.KNOWN_FEATURES:
        raise Unsupported(f"the qed has unknown features: {header.features:#x}")
    if header.fault:
        raise Broken(f"the header of the qed is impossible: {header.fault}")
    entries = header.table_bytes // 8
    if header.image_size > entries * entries * header.cluster_size:
        raise Broken(f"a disk of {header.image_size} bytes does not fit the tables of the qed")
    first, rest = divmod(header.l1_table_offset, header.cluster_size)
    if rest or first < header.header_size:
        raise Broken(f"the L1 table of the qed cannot be at {header.l1_table_offset}")
    return QedDisk(source, budget, header)


class QedDisk(BlockDisk):
    """The blocks are clusters."""

    format = "qed"

    def __init__(self, source: Source, budget: Budget, header: QedHeader) -> None:
        padded = Padded(source, header.cluster_size)
        super().__init__(padded, budget, header.image_size // 512 * 512, header.cluster_size)
        self._l1, self._per_table = header.l1_table_offset, header.table_bytes // 8
        self._numbers = Numbers(padded, budget, "Q", "little")
        self._table_number, self._table = -1, 0

    def place(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        at = self._entry_at(number)
        if not at:
            return ZERO
        offset = self._numbers.at(at)
        if offset in (0, header_fields.ZERO_CLUSTER):
            return ZERO
        return self._checked(offset)

    def next_used(self, number: int) -> int:
        """See :class:`BlockDisk`."""
        tables = -(-self.size // (self._per_table * self._block))
        while (table := number // self._per_table) < tables:
            used = (self._numbers.next_used(self._l1 + table * 8, self._l1 + tables * 8) - self._l1) // 8
            if used != table:
                number = used * self._per_table
                continue
            start = self._entry_at(number)
            end = start + (self._per_table - number % self._per_table) * 8
            skipped = (self._numbers.next_used(start, end) - start) // 8
            if start + skipped * 8 < end:
                return number + skipped
            number = (table + 1) * self._per_table
        return number

    def _entry_at(self, number: int) -> int:
        """The offset of the L2 entry of a cluster; 0 if there is no table."""
        table, index = divmod(number, self._per_table)
        if table != self._table_number:
            offset = self._numbers.at(self._l1 + table * 8)
            self._table_number, self._table = table, self._checked(offset) if offset else 0
        return self._table + index * 8 if self._table else 0

    def _checked(self, offset: int) -> int:
        if offset % self._block:
            raise Broken(f"a cluster of the qed is at {offset}, not at the start of a cluster")
        return offset
