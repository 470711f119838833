"""Fast commits: changes of inodes, extents and names behind the journal, instead of copies of blocks.

Source: the kernel's Documentation/filesystems/ext4/journal.rst ("Fast commits"), and how Linux 6 replays them. Nothing
is written: what they change is kept beside the file system, and its readers look there first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.filesystems.base import Entry
from douane_guest.headers.crc32c import crc32c_raw

from .blocks import Blocks
from .inodes import EXTENTS, INLINE, Inodes, flags_of
from .log import Header, Log
from .mapping import EXTENT, WRITTEN, Run

ADD_RANGE, DEL_RANGE, CREATE, LINK, UNLINK, INODE, PAD, TAIL, HEAD = range(1, 10)
TAG = struct.Struct("<HH")
NO_EXTENTS = struct.pack("<HHHHI", 0xF30A, 0, 4, 0, 0) + bytes(48)
"""The root of a tree of a file that has no blocks."""
MAX_CHANGES = 100_000
"""Names, inodes and runs that are kept."""
MAX_NAMES = 200_000
MAX_BYTES = 16 << 20
"""Of fast commits: mke2fs makes room for a 64th of the journal, which has at most 1 GiB."""
FOLDER_MODE = 0o040000
RunsOf = Callable[[int], Iterator[Run]]
"""The runs of an inode without its changes."""


class Name(NamedTuple):
    """A name that is added to a folder, or taken from it if it is one of `inode`."""

    added: bool
    name: bytes
    inode: int


class Changes:
    """What fast commits change."""

    def __init__(self, inodes: Inodes, blocks: Blocks, budget: Budget) -> None:
        self._inodes = inodes
        self._blocks = blocks
        self._budget = budget
        self._count = 0
        self.runs: dict[int, list[Run]] = {}
        self.names: dict[int, list[Name]] = {}
        self.new_folders: set[int] = set()

    def apply(self, kind: int, value: bytes, runs_of: RunsOf) -> None:
        """Apply a record."""
        self._budget.step(10)
        if kind == INODE:
            self._set_inode(int.from_bytes(value[:4], "little"), value[4:])
        elif kind == ADD_RANGE:
            number, logical, length, high, low = struct.unpack("<I" + EXTENT.format[1:], value)
            count = length if length <= WRITTEN else length - WRITTEN
            self._blocks.check(low | high << 32, count)
            run = Run(logical, low | high << 32, count) if length <= WRITTEN else None
            self._set_range(number, logical, count, run, runs_of)
        elif kind == DEL_RANGE:
            number, logical, count = struct.unpack("<III", value)
            self._set_range(number, logical, count, None, runs_of)
        elif kind in (CREATE, LINK, UNLINK):
            parent, number = struct.unpack_from("<II", value)
            self._set_name(kind, parent, number, value[8:])

    def _add(self, count: int = 1) -> None:
        self._count += count
        if self._count > MAX_CHANGES:
            raise TooMuch(f"the fast commits have more than {MAX_CHANGES} changes")

    def _set_inode(self, number: int, fields: bytes) -> None:
        """All but the map of the blocks, which follows as ranges."""
        old = self._inodes.raw(number)
        if not 128 <= len(fields) <= len(old):
            raise Broken("a fast commit has an inode of a wrong length")
        flags = flags_of(fields)
        if flags & INLINE:
            area = fields[40:100]
        elif flags & EXTENTS:
            area = old[40:100] if old[40:42] == NO_EXTENTS[:2] else NO_EXTENTS
        elif fields[1] >> 4 in (0o4, 0o10, 0o12):
            raise Unsupported("a fast commit has a file without extents", "guest-unclean")
        else:
            area = old[40:100]
        self._add()
        self._inodes.changed[number] = fields[:40] + area + fields[100:] + old[len(fields) :]

    def _set_range(self, number: int, logical: int, count: int, run: Run | None, runs_of: RunsOf) -> None:
        """Map blocks of a file anew, or not at all."""
        if not count or not flags_of(self._inodes.raw(number)) & EXTENTS:
            raise Broken("a fast commit maps no blocks, or those of a file without extents")
        if number not in self.runs:
            self.runs[number] = list(runs_of(number))
            self._add(len(self.runs[number]))
        runs = self.runs[number]
        self._budget.step(len(runs))
        end = logical + count
        remaining = []
        for old in runs:
            if old.logical < logical:
                remaining.append(Run(old.logical, old.physical, min(old.length, logical - old.logical)))
            if old.logical + old.length > end:
                skipped = max(end - old.logical, 0)
                remaining.append(Run(old.logical + skipped, old.physical + skipped, old.length - skipped))
        if run:
            remaining.append(run)
        remaining.sort()
        self._add()
        self.runs[number] = remaining

    def _set_name(self, kind: int, parent: int, number: int, name: bytes) -> None:
        if not 0 < len(name) <= 255 or b"/" in name or b"\0" in name or name in (b".", b".."):
            raise Broken(f"a fast commit has the name {name[:300]!r}")
        raw = bytearray(self._inodes.raw(number))
        links = int.from_bytes(raw[26:28], "little")
        if not links:
            raise Unsupported("a fast commit names a deleted inode", "guest-unclean")
        if kind == CREATE:
            links = 1
            if raw[1] >> 4 == FOLDER_MODE >> 12:
                self.new_folders.add(number)
                self.names.pop(number, None)
        else:
            links += 1 if kind == LINK else -1
        if not links:
            raw[40:100] = NO_EXTENTS
            self.runs.pop(number, None)
        raw[26:28] = links.to_bytes(2, "little")
        self._add(2)
        self._inodes.changed[number] = bytes(raw)
        self.names.setdefault(parent, []).append(Name(kind != UNLINK, name, number))

    def changed_runs(self, number: int, start: int, end: int) -> Iterator[Run]:
        """The runs of a file that touch [start, end)."""
        return (run for run in self.runs[number] if run.logical < end and run.logical + run.length > start)

    def changed_entries(self, number: int, entries: Iterator[Entry]) -> Iterator[Entry]:
        """The entries of a folder after its changes."""
        listed: dict[bytes, int] = {}
        for entry in () if number in self.new_folders else entries:
            if entry.name in listed:
                raise Broken(f"a folder has the name {entry.name!r} twice")
            if len(listed) >= MAX_NAMES:
                raise TooMuch(f"a folder that fast commits change has more than {MAX_NAMES} names")
            listed[entry.name] = entry.ref
        for change in self.names.get(number, ()):
            if change.added:
                listed.setdefault(change.name, change.inode)
            elif listed.get(change.name) == change.inode:
                del listed[change.name]
        return (Entry(name, inode) for name, inode in listed.items())


def records(log: Log, header: Header, transaction: int, budget: Budget) -> list[tuple[int, bytes]]:
    """The records of all complete fast commits that follow a transaction."""
    complete: list[tuple[int, bytes]] = []
    waiting: list[tuple[int, bytes]] = []
    total = 0
    size = 0
    for kind, value, data in tags(log, header, budget):
        size += len(data)
        if size > MAX_BYTES:
            raise TooMuch(f"the fast commits have more than {MAX_BYTES} bytes")
        if kind == HEAD:
            features, number = struct.unpack_from("<II", value)
            if features:
                raise Unsupported(f"the fast commits have the features {features:#x}", "guest-unclean")
            if number != transaction:
                break
        elif kind == TAIL:
            number, checksum = struct.unpack_from("<II", value)
            if number != transaction or checksum != crc32c_raw(data[:8], total):
                if not complete:
                    raise Broken("the checksum of the first fast commit is wrong")
                break
            complete += waiting
            waiting, total = [], 0
            continue
        else:
            waiting.append((kind, value))
        total = crc32c_raw(data, total)
    return complete


def tags(log: Log, header: Header, budget: Budget) -> Iterator[tuple[int, bytes, bytes]]:
    """The tags of all blocks behind the ring: kind, value, and all of its bytes. An unknown one ends them."""
    for number in range(header.last + 1, header.length):
        block = log.read(number)
        place = 0
        while place + TAG.size <= len(block):
            budget.step()
            kind, length = TAG.unpack_from(block, place)
            end = place + TAG.size + length
            if not ADD_RANGE <= kind <= HEAD or end > len(block):
                return
            yield kind, block[place + TAG.size : end], block[place:end]
            place = end
