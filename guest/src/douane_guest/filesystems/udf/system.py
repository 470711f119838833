"""The file system: folders, links, and the bytes of files."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from douane_guest.budget import Budget, check_size
from douane_guest.errors import Broken, TooMuch, only_guest_errors
from douane_guest.filesystems.base import BLOCK, CHAR, FILE, LINK, Entry, Node, Unread
from douane_guest.source import Source

from .descriptors import FILE_SET, INDIRECT, NAME, Address, expect, long_address, tag_of, text
from .entry import INSIDE, FileEntry, device_of, entry_of, extents_of
from .partitions import VIRTUAL, Partition, open_partitions
from .volume import read_volume

NAME_HEAD = struct.Struct("<16xHBB16xH")
DELETED, PARENT = 4, 8
COMPONENT = struct.Struct("<BB2x")
STRATEGY_4096 = 4096
MOST_INDIRECT = 1024
ENTRIES_KEPT = 256
PIECE = 1 << 20
LONGEST_TARGET = 4096


class Udf:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "udf"

    def __init__(self, source: Source, budget: Budget) -> None:
        self.unread: list[Unread] = []
        self._source = source
        self._budget = budget
        self._partitions: list[Partition] = []
        self._recent: OrderedDict[tuple[int, int], FileEntry] = OrderedDict()
        self._volume = volume = read_volume(source, budget)
        self._partitions = open_partitions(source, volume, self._extents_below, self._content_below, budget)
        self.uuid, self.label = volume.uuid, volume.label
        is_virtual = any(VIRTUAL in entry for entry in volume.maps)
        self.clean = volume.clean or is_virtual
        if not self.clean:
            why = "the UDF was not unmounted, or is still written"
            self.unread.append(Unread("volume", "guest-unclean", why))
        file_set = self._read(volume.file_set.partition, volume.file_set.block, volume.block_size)
        expect(file_set, volume.file_set.block, FILE_SET)
        root = long_address(file_set, 400)
        self.root = root.partition, root.block

    def _read(self, partition: int, block: int, size: int) -> bytes:
        check_size(size, "a structure of the UDF")
        return self._read_below(self._partition(partition), block, size)

    def _read_below(self, partition: Partition, block: int, size: int) -> bytes:
        self._budget.step(4)
        return b"".join(self._source.pread(place, count) for place, count in partition.pieces(block, size))

    def _partition(self, number: int) -> Partition:
        if number >= len(self._partitions):
            raise Broken(f"an address of the UDF names partition {number}, which does not exist")
        return self._partitions[number]

    def _extents_below(self, base: Partition, block: int) -> list[tuple[int, Address]]:
        """Of a file that is needed to open the partitions."""
        entry = self._entry_below(base, block)

        def read(_partition: int, number: int, size: int) -> bytes:
            return self._read_below(base, number, size)

        return list(extents_of(entry, read, self._volume.block_size, self._budget))

    def _content_below(self, base: Partition, block: int) -> tuple[int, bytes]:
        entry = self._entry_below(base, block)
        check_size(entry.size, "the table of virtual blocks of the UDF")
        if entry.flags & 7 == INSIDE:
            return entry.type, entry.addresses[: entry.size]
        pieces = [
            self._read_below(base, address.block, address.size) for _, address in self._extents_below(base, block)
        ]
        return entry.type, b"".join(pieces)[: entry.size]

    def _entry_below(self, base: Partition, block: int) -> FileEntry:
        return entry_of(self._read_below(base, block, self._volume.block_size), block, 0)

    def _entry(self, ref: tuple[int, int]) -> FileEntry:
        """The entry at a place, or (strategy 4096) the newest of its chain; the last 256 are kept."""
        if ref in self._recent:
            return self._recent[ref]
        partition, block = ref
        size = self._volume.block_size
        for _ in range(MOST_INDIRECT):
            data = self._read(partition, block, size)
            entry = entry_of(data, block, partition)
            if int.from_bytes(data[20:22], "little") != STRATEGY_4096:
                break
            indirect = self._read(partition, block + 1, size)
            if not any(indirect[:16]) or tag_of(indirect, block + 1) != INDIRECT:
                break
            newer = long_address(indirect, 36)
            if not newer.size:
                break
            partition, block = newer.partition, newer.block
        else:
            raise TooMuch("an entry of the UDF was changed more than 1024 times")
        self._recent[ref] = entry
        if len(self._recent) > ENTRIES_KEPT:
            self._recent.popitem(last=False)
        return entry

    @only_guest_errors
    def node(self, ref: Any) -> Node:
        """See the protocol."""
        self._budget.step()
        entry = self._entry(ref)
        kind = entry.kind
        size = len(self._target(entry)) if kind == LINK else entry.size
        return Node(
            ref=ref,
            kind=kind,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            size=size,
            mtime_ns=entry.mtime_ns,
            links=entry.links,
            device=device_of(entry) if kind in (CHAR, BLOCK) else None,
            detail=entry,
        )

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See the protocol. Names that the volume marks as hidden are listed, though Linux shows them only if it is
        told to: other systems show them."""
        data = self._small_file(node.detail, "a folder of the UDF")
        names: set[bytes] = set()
        position = 0
        while position + NAME_HEAD.size <= len(data):
            self._budget.step()
            _, marks, length, skipped = NAME_HEAD.unpack_from(data, position)
            start = position + NAME_HEAD.size + skipped
            end = start + length
            if end > len(data):
                raise Broken("a name of a folder of the UDF lies beyond its end")
            expect(data[position : end + -(end - position) % 4], None, NAME)
            address = long_address(data, position + 20)
            raw = data[start:end]
            position = end + -(end - position) % 4
            if marks & DELETED or (marks & PARENT and not length):
                continue
            if marks & PARENT:  # Linux does not list it, and opens it by its name (fs/udf/namei.c)
                raise Broken(f"a folder of the UDF has the name {raw!r} for the folder above it")
            name = text(raw)
            if not name or b"/" in name or b"\0" in name or name in (b".", b"..") or name in names:
                raise Broken(f"a folder of the UDF has the name {name!r}, or has it twice")
            names.add(name)
            yield Entry(name, (address.partition, address.block))
        if position < len(data):
            raise Broken("a folder of the UDF ends within a name")

    def _small_file(self, entry: FileEntry, what: str) -> bytes:
        check_size(entry.size, what)
        data = bytearray(entry.size)
        for offset, piece in self._chunks(entry, 0):
            data[offset : offset + len(piece)] = piece
        return bytes(data)

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        """See the protocol."""
        return self._target(node.detail)

    def _target(self, entry: FileEntry) -> bytes:
        """The parts of a link, put together as Linux does."""
        if entry.size > 2 * LONGEST_TARGET:
            raise Broken(f"a link of the UDF has {entry.size} bytes")
        data = self._small_file(entry, "a link of the UDF")
        target, position = b"", 0
        while position + COMPONENT.size <= len(data):
            kind, length = COMPONENT.unpack_from(data, position)
            position += COMPONENT.size + length
            name = data[position - length : position]
            if position > len(data) or not 1 <= kind <= 5:
                raise Broken("a link of the UDF is damaged")
            if kind == 1 and length:
                continue
            if kind in (1, 2):
                target = b"/"
            else:
                target += {3: b"..", 4: b"."}.get(kind) or text(name)
                target += b"/"
        target = target[:-1] if len(target) > 1 else target
        if not target or len(target) > LONGEST_TARGET:
            raise Broken("a link of the UDF has no target, or one that is too long")
        return target

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See the protocol."""
        for offset, data in self._chunks(node.detail, start):
            self._budget.deliver(len(data))
            yield offset, data

    def _chunks(self, entry: FileEntry, start: int) -> Iterator[tuple[int, bytes]]:
        if entry.flags & 7 == INSIDE:
            if entry.size != len(entry.addresses):
                raise Broken("a file of the UDF has another size than the bytes in its entry")
            if entry.size:
                yield 0, entry.addresses
            return
        for offset, address in extents_of(entry, self._read, self._volume.block_size, self._budget):
            size = min(address.size, entry.size - offset)
            if address.kind or offset + size <= start:
                continue
            position = offset
            for place, count in self._partition(address.partition).pieces(address.block, size):
                for skipped in range(0, count, PIECE):
                    piece = min(PIECE, count - skipped)
                    self._budget.step()
                    if position + piece > start:
                        yield position, self._source.pread(place + skipped, piece)
                    position += piece

    @only_guest_errors
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See the protocol."""
        return {}

    @only_guest_errors
    def place(self, node: Node) -> int:
        """See the protocol."""
        entry: FileEntry = node.detail
        if node.kind != FILE or not entry.size or entry.flags & 7 == INSIDE:
            return 0
        for _, address in extents_of(entry, self._read, self._volume.block_size, self._budget):
            if not address.kind:
                return next(self._partition(address.partition).pieces(address.block, 1))[0]
        return 0
