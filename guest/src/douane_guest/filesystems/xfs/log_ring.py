"""The log as a ring of sectors: where its newest record ends, and where the oldest begins that is still needed.

"Log Recovery" of the kernel's documentation and "Journaling Log" of the XFS book. Each sector of the log begins with
the number of the round in which it was written, so the newest one is found by bisection. What eight records of the
largest size can cover before it is then searched for sectors that were not written, for the kernel writes eight records
at once.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers.crc32c import crc32c
from douane_guest.source import Source

SECTOR = 512
_MAGIC = 0xFEEDBABE
_WORDS = struct.Struct(">II504x")
_HEADER = struct.Struct(">IIIIQQ4sII")
_HEADER_SIZES = (328, 324)
"""On 64 bits and on 32: the checksum covers the padding at the end of the structure."""

_EXTENSION = 260
_CYCLES = 64
"""Sectors of which a header keeps the first words."""

_MOST_RECORD = {True: 512, False: 64}
"""Sectors of the largest record: 256 KiB since version 2, 32 KiB before."""

_PARALLEL = 8
_FINAL = 0x20
_UNMOUNT = struct.Struct(">IIBB")
_LITTLE = 1


class Record(NamedTuple):
    """The header of a record."""

    block: int
    length: int
    lsn: int
    tail: int
    """The sector of the oldest record that is needed."""

    crc: int
    operations: int
    headers: int
    """Sectors of the header."""

    sectors: int
    """Of header and body."""


class Ring:
    """The sectors of a log."""

    def __init__(self, source: Source, place: int, sectors: int, *, v2: bool, uuid: bytes, budget: Budget) -> None:
        self.sectors = sectors
        self.record_limit = _MOST_RECORD[v2]
        self._source = source
        self._place = place
        self._uuid = uuid
        self._budget = budget
        self._v2 = v2

    def read(self, block: int, count: int) -> bytes:
        """`count` sectors, around the end if need be; bounded by the caller."""
        self._budget.step(1 + count // 8)
        block %= self.sectors
        before = min(count, self.sectors - block)
        data = self._source.pread(self._place + block * SECTOR, before * SECTOR)
        if before < count:
            data += self._source.pread(self._place, (count - before) * SECTOR)
        return data

    def rounds(self, block: int, count: int) -> list[int]:
        """The numbers of the rounds in which sectors were written."""
        words = _WORDS.iter_unpack(self.read(block, count))
        return [second if first == _MAGIC else first for first, second in words]

    def distance(self, start: int, end: int) -> int:
        return (end - start) % self.sectors

    def record(self, block: int) -> Record:
        """The header at a sector. Raises Broken if there is none, or one that cannot be."""
        data = self.read(block, 1)
        magic, _, version, length, lsn, tail, crc, _, operations = _HEADER.unpack_from(data)
        form, size = struct.unpack_from(">I16xI", data, 300)
        if magic != _MAGIC:
            raise Broken(f"there is no record at sector {block} of the log")
        if data[304:320] not in {self._uuid, bytes(16)}:
            raise Broken("the log belongs to another file system")
        if form != _LITTLE:
            raise Unsupported("the log was written by a big-endian processor", "guest-unclean")
        if not version or version & ~3 or (version & 2 and not self._v2):
            raise Broken(f"a record of the log has version {version}")
        headers = max(-(-size // (_CYCLES * SECTOR)), 1) if version & 2 else 1
        body = -(-length // SECTOR)
        if headers > self.record_limit // _CYCLES or body > headers * _CYCLES or (tail & 0xFFFF_FFFF) >= self.sectors:
            raise Broken("a record of the log has an impossible size or tail")
        number = int.from_bytes(crc, "little")
        return Record(block, length, lsn, tail & 0xFFFF_FFFF, number, operations, headers, headers + body)

    def body(self, record: Record, *, always_summed: bool = False) -> bytes:
        """The bytes of a record with the words that the numbers of the rounds replaced. Raises Broken for a record that
        was not written to its end, which its checksum shows; without `always_summed`, 0 means that it has none."""
        whole = self.read(record.block, record.sectors)
        head, stored = whole[: record.headers * SECTOR], whole[record.headers * SECTOR :]
        if (record.crc or always_summed) and not self._sum_fits(record, head, stored):
            raise Broken("the checksum of a record of the log is wrong")
        return with_first_words(head, stored)[: record.length]

    def _sum_fits(self, record: Record, head: bytes, stored: bytes) -> bool:
        more = -(-record.length // (_CYCLES * SECTOR)) if self._v2 else 1
        extensions = b"".join(head[n * SECTOR : n * SECTOR + _EXTENSION] for n in range(1, more))
        rest = extensions + stored[: record.length]
        return any(crc32c(head[:32] + bytes(4) + head[36:size] + rest) == record.crc for size in _HEADER_SIZES)

    def record_before(self, block: int, limit: int) -> Record | None:
        """The last record that begins among the `limit` sectors before one."""
        batch = 128
        for skipped in range(0, limit, batch):
            count = min(batch, limit - skipped)
            data = self.read(block - skipped - count, count)
            for number in range(count - 1, -1, -1):
                if data[number * SECTOR : number * SECTOR + 4] == b"\xfe\xed\xba\xbe":
                    return self.record((block - skipped - count + number) % self.sectors)
        return None


def with_first_words(head: bytes, stored: bytes) -> bytes:
    """The sectors of a record with their first words, which its header keeps: 64, and 64 in each further sector."""
    words = head[44 : 44 + 4 * _CYCLES]
    for piece in range(SECTOR, len(head), SECTOR):
        words += head[piece + 4 : piece + 4 + 4 * _CYCLES]
    data = bytearray(stored)
    count = len(stored) // SECTOR
    for byte in range(4):
        data[byte::SECTOR] = words[byte : 4 * count : 4]
    return bytes(data)


def find_head(ring: Ring) -> int | None:
    """The sector behind the newest record; None for a log that was never written."""
    first, last = ring.rounds(0, 1)[0], ring.rounds(ring.sectors - 1, 1)[0]
    if not first:
        return None
    scan = min(ring.sectors, _PARALLEL * ring.record_limit)
    if not last:
        head = _first_of_round(ring, 0)
        head = _back_to(ring, head, min(scan, head), 0)
        return _whole_record(ring, head, head)
    if first == last:
        head, stale = ring.sectors, last - 1
    else:
        head, stale = _first_of_round(ring, last), last
    if head >= scan:
        head = _back_to(ring, head, scan, stale)
    else:
        rest = ring.rounds(ring.sectors - (scan - head), scan - head)
        if stale - 1 in rest:
            head = ring.sectors - len(rest) + rest.index(stale - 1)
        else:
            head = _back_to(ring, head, head, stale)
    return _whole_record(ring, head, ring.sectors) % ring.sectors


def _first_of_round(ring: Ring, number: int) -> int:
    """The first sector of a round, of which the last one is; those before it are of another."""
    low, high = 0, ring.sectors - 1
    while high - low > 1:
        middle = (low + high) // 2
        if ring.rounds(middle, 1)[0] == number:
            high = middle
        else:
            low = middle
    return high


def _back_to(ring: Ring, head: int, count: int, stale: int) -> int:
    """The first of the `count` sectors before the head that was not written in the newest round."""
    if not count:
        return head
    rounds = ring.rounds(head - count, count)
    return head - count + rounds.index(stale) if stale in rounds else head


def _whole_record(ring: Ring, head: int, limit: int) -> int:
    """The head, or the beginning of the last record before it if that was not written to its end."""
    record_limit = min(ring.record_limit + ring.record_limit // _CYCLES, limit)
    last = ring.record_before(head, record_limit)
    if last is None:
        raise Broken("the log has no record before its newest sector")
    return head if ring.distance(last.block, head % ring.sectors) == last.sectors else last.block


class Span(NamedTuple):
    """The records that are to be replayed; none if the file system was unmounted."""

    tail: int
    head: int
    clean: bool


def find_span(ring: Ring) -> Span:
    """What a mount replays."""
    head = find_head(ring)
    if head is None:
        return Span(0, 0, True)
    last = _last_record(ring, head)
    if _is_unmount(ring, last, head):
        return Span(head, head, True)
    good = _last_good(ring, head, last.tail)
    if good != head:
        head = good
        last = _last_record(ring, head)
        if _is_unmount(ring, last, head):
            return Span(head, head, True)
    return Span(last.tail, head, last.tail == head)


def _last_record(ring: Ring, head: int) -> Record:
    last = ring.record_before(head, min(ring.sectors, 2 * ring.record_limit))
    if last is None:
        raise Broken("the log has no record before its head")
    return last


def _is_unmount(ring: Ring, last: Record, head: int) -> bool:
    if last.operations != 1 or (last.block + last.sectors) % ring.sectors != head:
        return False
    return bool(_UNMOUNT.unpack_from(ring.read(last.block + last.headers, 1))[3] & _FINAL)


def _last_good(ring: Ring, head: int, tail: int) -> int:
    """The head, or the first of the last eight records that was not written to its end; they are written together."""
    records: list[Record] = []
    at = head
    while len(records) < _PARALLEL and at != tail:
        record = ring.record_before(at, min(ring.distance(tail, at), 2 * ring.record_limit))
        if record is None:
            break
        records.append(record)
        at = record.block
    at = records[-1].block if records else head
    while at != head:
        try:
            record = ring.record(at)
            ring.body(record)
        except Broken:
            return at
        if record.sectors > ring.distance(at, head):
            return at
        at = (at + record.sectors) % ring.sectors
    return head
