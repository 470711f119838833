"""The file system: which tree is shown, folders, and the bytes of files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from douane_guest.budget import Budget, check_size
from douane_guest.errors import Broken, GuestError, Unsupported, only_guest_errors
from douane_guest.filesystems import folding
from douane_guest.filesystems.base import BLOCK, CHAR, FILE, FOLDER, KINDS, LINK, Entry, Node, Unread
from douane_guest.filesystems.folding import Key
from douane_guest.source import Source, check_range

from . import rockridge, trees
from .record import ASSOCIATED, CONTINUES, Record, joliet_name, plain_name, record_of
from .record import FOLDER as IS_FOLDER
from .rockridge import Fields, Zisofs
from .volume import SECTOR, read_trees
from .zisofs import zisofs_chunks

SECTORS_KEPT = 64
RECORDS_KEPT = 4096
MOST_SECTIONS = 100
PIECE = 1 << 20
MODE_WITHOUT_ROCK_RIDGE = 0o555
"""What Linux shows."""

NO_FIELDS = Fields()


class Detail(NamedTuple):
    """What the reader keeps of a record: `sections` are extents of the disk."""

    sections: list[tuple[int, int]]
    interleaved: bool = False
    sparse: bool = False
    zisofs: Zisofs | None = None
    target: bytes | None = None


class Iso9660:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "iso9660"
    clean = True

    def __init__(self, source: Source, budget: Budget, *, second: bool = False) -> None:
        """`second`: of two trees of folders that which Linux does not show."""
        self.unread: list[Unread] = []
        self._source = source
        self._budget = budget
        self._sectors: OrderedDict[int, bytes] = OrderedDict()
        self._recent: dict[int, tuple[Record, Fields]] = {}
        primary, joliet = read_trees(source)
        self._tree = primary
        root = record_of(self._record_bytes(primary.root))
        area = rockridge.root_area(root.system)
        self._skipped = rockridge.area_start(root.system)
        self._rock = rockridge.has_rock_ridge(self._fields(area))
        if joliet and (not self._rock or not any(self._records(primary.root, root.size))):
            self._rock = False
            self._tree = joliet
        elif not joliet:
            self._rock = True
        self._has_two = joliet is not None
        self._compared: tuple[GuestError | None] | None = None
        if second and joliet:
            self._tree, self._rock = (joliet, False) if self._tree is primary else (primary, True)
        self.uuid = primary.uuid
        self.label = primary.label
        self.root = self._tree.root

    @only_guest_errors
    def node(self, ref: Any) -> Node:
        """See the protocol."""
        self._budget.step()
        record, fields = self._parsed(ref)
        kind = self._kind(record, fields)
        sections = self._sections(ref, record)
        if kind == FOLDER and record.extent * self._tree.block_size != ref:
            raise Broken("a folder of the ISO 9660 image does not begin with itself")
        size = sum(count for _, count in sections)
        if kind == LINK:
            size = len(fields.target or b"")
        elif kind == FILE and fields.real_size is not None:
            size = fields.real_size
        mtime = record.mtime if fields.mtime is None else fields.mtime
        return Node(
            ref=ref,
            kind=kind,
            mode=MODE_WITHOUT_ROCK_RIDGE if fields.mode is None else fields.mode & 0o7777,
            uid=fields.uid,
            gid=fields.gid,
            size=size if kind in (FILE, FOLDER, LINK) else 0,
            mtime_ns=mtime * 1_000_000_000,
            links=fields.links,
            device=fields.device if kind in (CHAR, BLOCK) else None,
            detail=Detail(sections, record.interleaved, fields.sparse, fields.zisofs, fields.target),
        )

    def _parsed(self, ref: int) -> tuple[Record, Fields]:
        """The record at a place; those that `entries` read last are remembered."""
        parsed = self._recent.get(ref)
        if parsed is None:
            record = record_of(self._record_bytes(ref))
            parsed = record, self._rock_ridge(record)
        return parsed

    def _remember(self, ref: int, record: Record, fields: Fields) -> None:
        if len(self._recent) >= RECORDS_KEPT:
            self._recent.clear()
        self._recent[ref] = record, fields

    def _kind(self, record: Record, fields: Fields) -> str:
        """Raises Broken where the record and Rock Ridge contradict each other."""
        is_folder = bool(record.flags & IS_FOLDER)
        if fields.mode is None:
            return FOLDER if is_folder else FILE
        kind = KINDS.get(fields.mode & 0o170000)
        if kind is None or (kind == FOLDER) != is_folder:
            raise Broken(f"Rock Ridge says that an object has mode {fields.mode:o}, its record says another kind")
        return kind

    def _rock_ridge(self, record: Record) -> Fields:
        if not self._rock or not record.system:
            return NO_FIELDS
        is_root = record.name == b"\0" and record.extent * self._tree.block_size == self._tree.root
        area = rockridge.root_area(record.system) if is_root else record.system[self._skipped :]
        return rockridge.parse(self._fields(area))

    def _fields(self, area: bytes) -> Iterator[tuple[bytes, bytes]]:
        return rockridge.raw_fields(self._source, self._budget, self._tree.block_size, area)

    def _sections(self, ref: int, record: Record) -> list[tuple[int, int]]:
        """The extents of a file, which has a record for each."""
        sections = [(record.extent * self._tree.block_size, record.size)]
        while record.flags & CONTINUES:
            ref = self._next(ref)
            name, record = record.name, record_of(self._record_bytes(ref))
            sections.append((record.extent * self._tree.block_size, record.size))
            if record.name != name or len(sections) > MOST_SECTIONS:
                raise Broken("a file of several sections has none that is the last, or more than 100")
        return sections

    def _next(self, ref: int) -> int:
        """The record behind another."""
        following = ref + self._record_bytes(ref)[0]
        in_sector = following % SECTOR
        if in_sector and not self._sector(following // SECTOR)[in_sector]:
            following += SECTOR - in_sector
        return following

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See the protocol. Behind those of the root, a second tree is compared with the one that is shown."""
        yield from self.names(node, b"")
        if node.ref == self.root and self._has_two:
            if self._compared is None:
                self._compared = (trees.fault_of(self, Iso9660(self._source, self._budget, second=True), self._budget),)
            if self._compared[0]:
                raise self._compared[0]

    @only_guest_errors
    def names(self, node: Node, wanted: bytes) -> Iterator[Entry]:
        """See the protocol."""
        names: set[bytes] = set()
        for record_place, record in self._records(node.ref, node.size):
            name, place = record.name, record_place
            fields = self._rock_ridge(record)
            self._remember(place, record, fields)
            if fields.moved:
                continue
            if fields.name is not None:
                name = fields.name
            else:
                name = joliet_name(name) if self._tree.joliet else plain_name(name)
            if not name or b"/" in name or b"\0" in name or name in (b".", b"..") or name in names:
                raise Broken(f"a folder of the ISO 9660 image has the name {name!r}, or has it twice")
            names.add(name)
            if fields.child is not None:
                place = fields.child * self._tree.block_size
            elif record.flags & IS_FOLDER:
                place = record.extent * self._tree.block_size
            yield Entry(name, place)

    def key(self, node: Node) -> Key | None:
        """See the protocol: Linux ignores the case of Joliet's names alone (fs/isofs/inode.c)."""
        return folding.ascii_only if self._tree.joliet else None

    def _records(self, start: int, size: int) -> Iterator[tuple[int, Record]]:
        """The records of a folder with their places, the first of each file, without "." and ".."."""
        check_size(size, "a folder of the ISO 9660 image")
        check_range(self._source, start, size)
        place, continues = start, False
        while place < start + size:
            self._budget.step()
            in_sector = place % SECTOR
            length = self._sector(place // SECTOR)[in_sector]
            if not length:
                place += self._tree.block_size - place % self._tree.block_size
                continue
            record = record_of(self._record_bytes(place))
            if not continues and not record.is_dot and not record.flags & ASSOCIATED:
                yield place, record
            continues = bool(record.flags & CONTINUES)
            place += length

    def _sector(self, number: int) -> bytes:
        """A sector; the last 64 are kept."""
        data = self._sectors.get(number)
        if data is None:
            self._budget.step(4)
            data = self._sectors[number] = self._source.pread(number * SECTOR, SECTOR)
            if len(self._sectors) > SECTORS_KEPT:
                self._sectors.popitem(last=False)
        return data

    def _record_bytes(self, place: int) -> bytes:
        offset = place % SECTOR
        data = self._sector(place // SECTOR)
        record = data[offset : offset + data[offset]]
        if len(record) != data[offset]:
            raise Broken("a record of a folder of the ISO 9660 image lies in two sectors")
        return record

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        """See the protocol."""
        detail: Detail = node.detail
        if not detail.target:
            raise Broken("a link of the ISO 9660 image has no target")
        return detail.target

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See the protocol."""
        detail: Detail = node.detail
        if detail.interleaved or detail.sparse:
            raise Unsupported("a file of the ISO 9660 image is interleaved or sparse, which Linux does not read either")
        if detail.zisofs:
            stored = Sections(self._source, detail.sections)
            yield from zisofs_chunks(stored, detail.zisofs, node.size, start, self._budget)
            return
        offset = 0
        for place, size in detail.sections:
            check_range(self._source, place, size)
            for position in range(0, size, PIECE):
                count = min(PIECE, size - position)
                if offset + position + count > start:
                    self._budget.step()
                    self._budget.deliver(count)
                    yield offset + position, self._source.pread(place + position, count)
            offset += size

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See the protocol."""
        return {}

    def place(self, node: Node) -> int:
        """See the protocol."""
        detail: Detail = node.detail
        return detail.sections[0][0] if node.kind == FILE and node.size else 0


class Sections:
    """The bytes of a file, as a source."""

    def __init__(self, source: Source, sections: list[tuple[int, int]]) -> None:
        self._source = source
        self._sections = sections
        self.size = sum(size for _, size in sections)

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        pieces = []
        for place, size in self._sections:
            if offset < size and count:
                part = min(count, size - offset)
                pieces.append(self._source.pread(place + offset, part))
                count -= part
                offset += part
            offset -= size
        return b"".join(pieces)
