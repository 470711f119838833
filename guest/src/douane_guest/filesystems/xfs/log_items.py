"""The transactions in the records of a log, put together from their operations ("Log Operations" of the XFS book)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported

from .log_ring import Ring, Span

_OPERATION = struct.Struct(">IIBB2x")
_CLIENTS = {0x69, 0xAA}
_START, _COMMIT, _CONTINUES, _CONTINUED, _END, _UNMOUNT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_HEADER = 16
_MAGIC = b"NART"
"""0x5452414e, little-endian."""

_MOST_REGIONS = 2048 + 1
_MOST_BYTES = 16 << 20
"""Of transactions that are not committed yet: the kernel writes at most 32 MiB at once, and an eighth of the log."""


class Item(NamedTuple):
    """A change: its description and the bytes that belong to it."""

    regions: list[bytes]

    @property
    def type(self) -> int:
        return int.from_bytes(self.regions[0][:2], "little")


class Transaction:
    """One that is being put together."""

    def __init__(self, lsn: int) -> None:
        self.lsn = lsn
        """Of the record in which it begins: what the change of a block is compared with."""

        self.size = 0
        self._header = b""
        self._items: list[list[bytes]] = []
        self._totals: list[int] = []

    def add(self, data: bytes) -> None:
        """A region."""
        if not data:
            return
        if len(self._header) < _HEADER:
            self._add_header(data)
            return
        self.size += len(data)
        if not self._items or len(self._items[-1]) == self._totals[-1]:
            total = int.from_bytes(data[2:4], "little")
            if len(data) < 4 or not 1 <= total <= _MOST_REGIONS:
                raise Broken("an item of the log has an impossible number of regions")
            self._items.append([])
            self._totals.append(total)
        self._items[-1].append(data)

    def extend(self, data: bytes) -> None:
        """More of the last region, which began in another record."""
        if len(self._header) < _HEADER:
            self._add_header(data)
        elif not self._items:
            raise Broken("the log continues a region that did not begin")
        else:
            self.size += len(data)
            self._items[-1][-1] += data

    def _add_header(self, data: bytes) -> None:
        self._header += data
        if len(self._header) > _HEADER or not _MAGIC.startswith(self._header[:4]):
            raise Broken("a transaction of the log has no header")

    def items(self) -> list[Item]:
        """All of its items. Raises Broken if one has not all of its regions."""
        if any(len(item) != total for item, total in zip(self._items, self._totals, strict=True)):
            raise Broken("an item of the log has fewer regions than it says")
        return [Item(item) for item in self._items]


def transactions(ring: Ring, span: Span, budget: Budget, *, summed: bool) -> Iterator[Transaction]:
    """The committed transactions in the order of their commits. What was not committed did not happen.

    `summed`: every record has a checksum, as in version 5."""
    pending: dict[int, Transaction] = {}
    at = span.tail
    while at != span.head:
        record = ring.record(at)
        if record.sectors > ring.distance(at, span.head) or not record.length:
            raise Broken("a record of the log reaches over its head, or has no length")
        data = ring.body(record, always_summed=summed)
        place = 0
        for _ in range(record.operations):
            if place + _OPERATION.size > len(data):
                raise Broken("a record of the log has more operations than fit")
            number, length, client, flags = _OPERATION.unpack_from(data, place)
            place += _OPERATION.size + length
            if place > len(data) or client not in _CLIENTS:
                raise Broken("an operation of the log ends behind its record")
            budget.step()
            committed = _operate(pending, number, flags, data[place - length : place], record.lsn)
            if committed:
                yield committed
        if sum(transaction.size for transaction in pending.values()) > _MOST_BYTES:
            raise Unsupported("its transactions are larger than what is kept in memory", "guest-unclean")
        at = (at + record.sectors) % ring.sectors


def _operate(pending: dict[int, Transaction], number: int, flags: int, data: bytes, lsn: int) -> Transaction | None:
    """One operation. Returns the transaction that it commits."""
    transaction = pending.get(number)
    if transaction is None:
        if flags & _START:
            pending[number] = Transaction(lsn)
        return None
    flags &= ~_END
    if flags & _CONTINUED:
        flags &= ~_CONTINUES
    if flags in {0, _CONTINUES}:
        transaction.add(data)
    elif flags == _CONTINUED:
        transaction.extend(data)
    elif flags == _COMMIT:
        return pending.pop(number)
    elif flags == _UNMOUNT:
        del pending[number]
    else:
        raise Broken(f"an operation of the log has flags {flags:#x}")
    return None
