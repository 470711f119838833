"""VHDX: the metadata region ([MS-VHDX], 2.6), a table of items followed by the items."""

from struct import unpack_from

from douane_guest.headers.vhdx import (
    CHUNK_SECTORS,
    HAS_PARENT,
    ITEMS,
    LOGICAL,
    MAX_DISK,
    MAX_ITEMS,
    METADATA_TABLE_BYTES,
    MIB,
    PARAMETERS,
    PARENT,
    PHYSICAL,
    REQUIRED_ITEM,
    SIZE,
    read_items,
)

from .requests import MAX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .tables import TableReader


class Metadata:
    """A table for :class:`tables.TableReader`: the first mebibyte of the region of `length` bytes at `at`.

    After :meth:`judge` it has the sizes of a `block` and a `sector` in bytes, 0 if invalid, and the `size` of the disk.
    """

    what = "the metadata"

    def __init__(self, match: "Match", reader: "TableReader", at: int, length: int) -> None:
        self.at, self.length = at, min(length, MAX_BYTES)
        self.block = self.sector = self.size = 0
        self.has_parent = False
        self._match, self._reader, self._start = match, reader, at
        self._data = b""

    def take(self, piece: bytes) -> bool:
        """As :meth:`tables.Table.take`."""
        self._data = piece
        return False

    def skip(self) -> bool:
        """As :meth:`tables.Table.skip`."""
        return False

    @property
    def entries(self) -> int:
        """The number of entries that the block allocation table must have (2.5)."""
        blocks = -(-self.size // self.block)
        ratio = max(1, CHUNK_SECTORS * self.sector // self.block)
        if self.has_parent:
            return -(-blocks // ratio) * (ratio + 1)
        return blocks + (max(blocks, 1) - 1) // ratio

    def judge(self) -> None:
        """Check the items and add findings."""
        match, data = self._match, self._data
        if len(data) < METADATA_TABLE_BYTES:
            match.find(
                "truncated", f"the metadata has {len(data)} bytes, but must have {METADATA_TABLE_BYTES}", self._start
            )
            return
        (count,) = unpack_from("<H", data, 10)
        if data[:8] != b"metadata":
            match.find("header", f"the metadata begins with {data[:8]!r}", self._start)
            return
        if count > MAX_ITEMS:
            match.find("header", f"the metadata has {count} items, but may have at most {MAX_ITEMS}", self._start + 10)
            return
        items: dict[bytes, bytes] = {}
        for number, item in enumerate(read_items(data)):
            self._read_item(items, self._start + 32 + number * 32, *item)
        for name, (what, _) in ITEMS.items():
            if name not in items and name != PARENT:
                match.find("header", f"it has no {what}", self._start)
        self._read_known(items)

    def _read_item(
        self, items: "dict[bytes, bytes]", offset: int, name: bytes, at: int, length: int, flags: int
    ) -> None:
        match, data = self._match, self._data
        specification = ITEMS.get(name)
        if name in items:
            match.find("header", f"the item {name.hex()} appears twice", offset)
            return
        if not specification:
            match.note(f"item {name.hex()}", f"{length} bytes", offset)
            if flags & REQUIRED_ITEM:
                match.find("unknown-feature", f"the item {name.hex()} is unknown, but required", offset)
        items[name] = data[at : at + length]
        if specification is None:
            return
        what, min_length = specification
        if at < METADATA_TABLE_BYTES or length < min_length or len(items[name]) < length:
            match.find("header", f"the {what} has {length} bytes at {at}, which is impossible", offset + 16)
            del items[name]

    def _read_known(self, items: "dict[bytes, bytes]") -> None:
        match = self._match
        sector = int.from_bytes(items.get(LOGICAL, b"")[:4], "little")
        physical = int.from_bytes(items.get(PHYSICAL, b"")[:4], "little")
        if SIZE in items:
            self.size = int.from_bytes(items[SIZE][:8], "little")
            match.virtual_size = self.size
            match.note("virtual disk size", self.size, self._start)
            if self.size > MAX_DISK:
                match.find("virtual-size", f"the disk has {self.size} bytes, more than {MAX_DISK}", self._start)
        if LOGICAL in items:
            match.note("logical sector size", sector, self._start)
            if sector not in (512, 4096):
                match.find("header", f"a sector has {sector} bytes, but must have 512 or 4096", self._start)
            elif self.size % sector:
                match.find("unaligned-size", f"the disk has {self.size} bytes, no multiple of {sector}", self._start)
        if PHYSICAL in items and physical not in (512, 4096):
            match.find("header", f"a physical sector has {physical} bytes, but must have 512 or 4096", self._start)
        if PARENT in items:
            match.find("parent", f"it has a parent locator: {_pairs_of(items[PARENT])}", self._start)
        if PARAMETERS not in items:
            return
        block, flags = unpack_from("<II", items[PARAMETERS])
        match.note("block size", block, self._start)
        match.variant = "differencing" if flags & 2 else "fixed" if flags & 1 else "dynamic"
        self.has_parent = bool(flags & HAS_PARENT)
        if flags & HAS_PARENT and PARENT not in items:
            match.find("parent", "it is the difference to a parent that it does not name", self._start)
        if flags & ~3:
            match.find("unknown-feature", f"the file parameters have unknown flags: {flags:#x}", self._start)
        if not MIB <= block <= 256 * MIB or block & block - 1:
            match.find("header", f"a block has {block} bytes, not a power of 2 from 1 to 256 MiB", self._start)
        elif sector in (512, 4096) and self.size <= MAX_DISK:
            self.block, self.sector = block, sector


def _pairs_of(locator: bytes) -> str:
    """The pairs of a parent locator (2.6.2.6) as text."""
    if len(locator) < 20:
        return repr(locator)
    pairs = []
    for number in range(min(unpack_from("<H", locator, 18)[0], 8)):
        at = 20 + number * 12
        if at + 12 > len(locator):
            break
        key, value, key_length, value_length = unpack_from("<IIHH", locator, at)
        pair = (locator[key : key + key_length], locator[value : value + min(value_length, 160)])
        pairs.append("=".join(repr(part.decode("utf-16-le", "replace"))[1:-1] for part in pair))
    return ", ".join(pairs)
