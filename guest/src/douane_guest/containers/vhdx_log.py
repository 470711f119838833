"""The log of a VHDX that was not closed, replayed in memory ([MS-VHDX], 2.3).

The log is a ring of entries, each a head, descriptors of what changes, and a sector for each of these that has data.
The hypervisor writes the entries of the active sequence to their places before it opens the file: that with the highest
number of those that reach from the tail, which their last entry names, to that last entry.

qemu (block/vhdx-log.c) goes another way: it ignores the tail, looks at the number of the first entry, and takes the
second one whatever its number is. Where that gives another file, the image is unread.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.headers.crc32c import crc32c_raw
from douane_guest.headers.vhdx import MIB, REGION_TABLES, VhdxHeader
from douane_guest.source import Source, check_range

from .vhdx_overlay import SECTOR, SectorAt, VhdxOverlay

_MOST_LOG = 64 * MIB
"""Hyper-V and qemu make logs of 1 MiB."""

_MOST_CHECKED = 3
"""How often the bytes of the log may be checked: entries of a log that was written do not overlap."""

_MOST_COMPARED = 64 * MIB
"""Of what two replays change; a range of zeros may be as long as the entry likes."""

_HEAD = Struct("<4sIIIQII16sQQ")
_DESCRIPTOR = Struct("<4s4s8sQQ")
_PIECE = 64 << 10
_UNCLEAN = "guest-unclean"


class Entry(NamedTuple):
    """An entry with the right checksum. Places are those in the ring."""

    place: int
    length: int
    tail: int
    sequence: int
    descriptors: int
    flushed: int
    """The size that the file had at least when it was written."""

    last: int
    """The size that the file must have after it."""


def replayed(source: Source, header: VhdxHeader, budget: Budget) -> Source:
    """The file as it is after the replay. Raises Unsupported if that cannot be known."""
    if header.log_length == 0 or header.log_length % MIB or header.log_at % MIB or header.log_at < MIB:
        raise Broken(f"the log of the VHDX, {header.log_length} bytes at {header.log_at}, is in an impossible place")
    if header.log_length > _MOST_LOG:
        raise Unsupported(f"the log of the VHDX has {header.log_length} bytes, more than are read", _UNCLEAN)
    check_range(source, header.log_at, header.log_length)
    log = Log(source, header, budget)
    entries, qemus = log.active(), log.active_to_qemu()
    if source.size < entries[-1].flushed:
        raise Broken(f"the VHDX has {source.size} bytes, and had {entries[-1].flushed} when its log was written")
    end = max(entry.last for entry in [*entries, *qemus])
    size = max(source.size, end + -end % MIB)
    overlay = log.applied(entries, VhdxOverlay(source, size))
    if qemus != entries:
        _compare(overlay, log.applied(qemus, VhdxOverlay(source, size)), budget)
    return overlay


def _compare(overlay: VhdxOverlay, second: VhdxOverlay, budget: Budget) -> None:
    """Raises Unsupported unless both are the same file."""
    spans = overlay.changed() + second.changed()
    if sum(count for _, count in spans) > _MOST_COMPARED:
        raise Unsupported("the VHDX was not closed, and programs may differ in how they replay it", _UNCLEAN)
    for offset, count in spans:
        for start in range(offset, offset + count, _PIECE):
            budget.step(16)
            length = min(_PIECE, offset + count - start)
            if overlay.pread(start, length) != second.pread(start, length):
                raise Unsupported("the VHDX was not closed, and programs would differ in how they replay it", _UNCLEAN)


class Log:
    """The ring."""

    def __init__(self, source: Source, header: VhdxHeader, budget: Budget) -> None:
        self._source, self._budget = source, budget
        self._start, self._size, self._identity = header.log_at, header.log_length, header.log
        self._entries: dict[int, Entry | None] = {}
        self._checked = 0

    def active(self) -> list[Entry]:
        """The entries to replay, the oldest first (2.3.3). Raises Unsupported if there are none."""
        sequences = self._sequences(loose=False)
        intact = [sequence for sequence in sequences if sequence[-1].tail in {entry.place for entry in sequence}]
        if not intact:
            raise Unsupported(
                "the VHDX was not closed, and its log has no sequence of entries that is intact", _UNCLEAN
            )
        active = max(intact, key=lambda sequence: sequence[-1].sequence)
        return active[[entry.place for entry in active].index(active[-1].tail) :]

    def active_to_qemu(self) -> list[Entry]:
        """The entries that qemu replays."""
        return max(self._sequences(loose=True), key=lambda sequence: sequence[0].sequence)

    def _sequences(self, *, loose: bool) -> list[list[Entry]]:
        sequences: list[list[Entry]] = []
        place = 0
        while place < self._size:
            sequence = self._sequence(place, loose=loose)
            if not sequence:
                place += SECTOR
                continue
            sequences.append(sequence)
            place += sum(entry.length for entry in sequence)
        return sequences

    def _sequence(self, place: int, *, loose: bool) -> list[Entry]:
        """Entries that follow each other, in their places and in their numbers; `loose`: the second is not asked."""
        sequence: list[Entry] = []
        room = self._size
        while room and (entry := self._entry(place)) is not None:
            follows = not sequence or entry.sequence == sequence[-1].sequence + 1 or (loose and len(sequence) == 1)
            if not follows or entry.length > room:
                break
            sequence.append(entry)
            room -= entry.length
            place = (place + entry.length) % self._size
        return sequence

    def applied(self, entries: list[Entry], overlay: VhdxOverlay) -> VhdxOverlay:
        """The overlay with the changes of entries."""
        for entry in entries:
            self._apply(entry, overlay)
        return overlay

    def _entry(self, place: int) -> Entry | None:
        """None unless an entry begins there, and is intact."""
        if place not in self._entries:
            self._entries[place] = self._read_entry(place)
        return self._entries[place]

    def _read_entry(self, place: int) -> Entry | None:
        self._budget.step()
        head = self._read(place, _HEAD.size)
        magic, checksum, length, tail, sequence, count, _, identity, flushed, last = _HEAD.unpack(head)
        if magic != b"loge" or identity != self._identity or not sequence or not SECTOR <= length <= self._size:
            return None
        if length % SECTOR or not self._sum_is(place, length, checksum):
            return None
        entry = Entry(place, length, tail, sequence, count, flushed, last)
        if tail % SECTOR or tail >= self._size or self._first_data(entry) > length:
            raise Unsupported(f"the entry {sequence} of the VHDX' log is intact, but contradicts itself", _UNCLEAN)
        return entry

    def _sum_is(self, place: int, length: int, checksum: int) -> bool:
        self._checked += length
        if self._checked > _MOST_CHECKED * self._size:
            raise Unsupported("the entries of the VHDX' log overlap", _UNCLEAN)
        state = 0xFFFFFFFF
        for offset in range(0, length, _PIECE):
            self._budget.step(16)
            data = self._read(place + offset, min(_PIECE, length - offset))
            state = crc32c_raw(data if offset else data[:4] + bytes(4) + data[8:], state)
        return state ^ 0xFFFFFFFF == checksum

    @staticmethod
    def _first_data(entry: Entry) -> int:
        """Where the sectors with data begin in an entry: behind those with the head and the descriptors."""
        return -(-(_HEAD.size + entry.descriptors * _DESCRIPTOR.size) // SECTOR) * SECTOR

    def _apply(self, entry: Entry, overlay: VhdxOverlay) -> None:
        """Write the changes of an entry."""
        data = self._first_data(entry)
        for number in range(entry.descriptors):
            self._budget.step()
            place = entry.place + _HEAD.size + number * _DESCRIPTOR.size
            magic, ending, beginning, offset, sequence = _DESCRIPTOR.unpack(self._read(place, _DESCRIPTOR.size))
            if sequence != entry.sequence or offset % SECTOR or magic not in (b"zero", b"desc"):
                raise Unsupported(f"the entry {entry.sequence} of the VHDX' log has a damaged descriptor", _UNCLEAN)
            if offset < REGION_TABLES[0]:
                raise Broken("the log of the VHDX changes the headers of the file")
            if magic == b"zero":
                overlay.zero(offset, self._zeros(beginning))
                continue
            if data + SECTOR > entry.length:
                raise Unsupported(f"the entry {entry.sequence} of the VHDX' log lacks a sector of data", _UNCLEAN)
            self._check_sector(entry, data)
            at = self._start + (entry.place + data) % self._size
            overlay.write(offset, SectorAt(at, beginning, ending))
            data += SECTOR

    @staticmethod
    def _zeros(field: bytes) -> int:
        count = int.from_bytes(field, "little")
        if not count or count % SECTOR:
            raise Unsupported(f"the log of the VHDX has a range of {count} zeros", _UNCLEAN)
        return count

    def _check_sector(self, entry: Entry, data: int) -> None:
        """The first and the last bytes of a sector repeat the number of its entry."""
        sector = self._read(entry.place + data, SECTOR)
        number = sector[4:8] + sector[-4:]
        if sector[:4] != b"data" or int.from_bytes(number[4:] + number[:4], "little") != entry.sequence:
            raise Unsupported(f"the entry {entry.sequence} of the VHDX' log has a sector of another", _UNCLEAN)

    def _read(self, place: int, count: int) -> bytes:
        """Bytes of the ring."""
        place %= self._size
        first = min(count, self._size - place)
        data = self._source.pread(self._start + place, first)
        return data if first == count else data + self._source.pread(self._start, count - first)
