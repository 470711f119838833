"""VDI, the format of VirtualBox (VDICore.h; qemu, block/vdi.c). All numbers are little-endian."""

from bisect import bisect_left
from operator import sub

from douane_guest.headers import vdi as headers
from douane_guest.headers.vdi import MAX_BLOCKS, NO_ID, TYPES, VERSION, ZERO, VdiHeader

from .base import Format
from .requests import Bytes
from .tables import Table, TableReader, numbers, overlapping_regions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_BLOCK = 1 << 20


class Vdi(Format):
    """Recognised by the signature that follows a free text."""

    name = "vdi"
    about = "fixed, dynamic, differencing"
    disk_format = "vdi"
    declared_as = ("vdi",)
    allowed = True
    qemu_driver = "vdi"

    def begins(self, head: bytes) -> bool:
        return headers.begins(head)

    def read(self, match: "Match") -> "Reader":
        header = yield Bytes(0, 512, "the header")
        fields = VdiHeader(header)
        version, kind, flags = fields.version, fields.kind, fields.flags
        match.note("text", repr(header[:64].partition(b"\0")[0])[2:-1], 0)
        match.note("version", f"{version >> 16}.{version & 0xFFFF}", 68)
        if version != VERSION:
            match.find("version", f"version is {version:#x}, but must be {VERSION:#x}", 68)
            return
        match.variant = TYPES.get(kind, "")
        match.note("type", f"{kind} {match.variant}".strip(), 76)
        match.note("flags", f"{flags:#x}", 80)
        if kind in (3, 4):
            match.find("parent", f"type is {kind}, {TYPES[kind]}: it has a parent", 76)
        elif kind not in TYPES:
            match.find("subformat", f"its type is {kind}, which is not in use", 76, help="convert it to a dynamic disk")
        for what, at in headers.IDS.items():
            identity = fields.identity(what)
            match.note(f"identity of the {what}", identity.hex(), at)
            # qemu refuses both (vdi_open); VirtualBox searches an image of that identity
            if what in ("link", "parent") and identity != NO_ID:
                match.find("parent", f"it has the identity of a {what}: {identity.hex()}", at)
        yield from _read_map(match, fields)


def _read_map(match: "Match", header: VdiHeader) -> "Reader":
    at, data, size = header.map, header.blocks_at, header.size
    block, extra, blocks, allocated = header.block, header.extra, header.blocks, header.allocated
    match.virtual_size = header.virtual_size
    match.note("block map", at, 340)
    match.note("data", data, 344)
    match.note("disk size", size, 368)
    match.note("block size", block, 376)
    match.note("blocks", blocks, 384)
    match.note("blocks allocated", allocated, 388)
    if header.length + 72 < 392:
        match.find("header", f"the header has {header.length} bytes, too few for its fields", 72)
    if header.sector != 512:
        match.find("header", f"a sector has {header.sector} bytes, but must have 512", 360)
    if size > MAX_BLOCKS * _BLOCK:
        match.find("virtual-size", f"the disk has {size} bytes, but may have at most {MAX_BLOCKS * _BLOCK}", 368)
    if extra:
        # VirtualBox reads the data after the extra bytes, qemu reads the extra bytes as data
        match.find("unknown-feature", f"each block has {extra} extra bytes, which some programs read as data", 380)
    if at % 512 or data % 512:
        match.find("header", f"the block map at {at} or the data at {data} is unaligned", 340)
    if block < 4096 or block & block - 1:
        match.find("header", f"a block has {block} bytes, but must have a power of 2", 376)
        return
    if block != _BLOCK:
        match.find("odd", f"a block has {block} bytes, but qemu reads only blocks of {_BLOCK}", 376)
    if blocks > MAX_BLOCKS or size > blocks * block:
        match.find("header", f"{blocks} blocks of {block} bytes do not fit a disk of {size} bytes", 384)
    if allocated > blocks:
        match.find("header", f"{allocated} blocks are allocated, more than all {blocks}", 388)
    regions = [(0, 512, "the header"), (at, blocks * 4, "the block map"), (data, 1, "the data")]
    for first, second, offset in overlapping_regions(regions):
        match.find("overlap", f"{second} overlaps {first}", offset)
    if at > data:
        match.find("header", f"the block map at {at} follows the data at {data}", 340)
    reader = TableReader(match, 512)
    reader.must_reach(at + blocks * 4, "the block map")
    map_ = _Map(match, reader, data, block + extra, blocks)
    reader.add(Table(at, blocks * 4, "the block map", map_.use))
    yield from reader.read()
    if map_.complete and map_.used != allocated:
        match.find("odd", f"the map has {map_.used} blocks, but the header says {allocated}", 388)


class _Map:
    """Checks the entries of the block map, which are numbers of blocks from `data` on."""

    def __init__(self, match: "Match", reader: TableReader, data: int, block: int, blocks: int) -> None:
        self._match, self._reader = match, reader
        self._data, self._block, self._unread, self._blocks = data, block, blocks, blocks
        self._highest = -1
        self.used = 0

    @property
    def complete(self) -> bool:
        """True once all entries were read."""
        return not self._unread

    def use(self, piece: bytes) -> None:
        """Check the next piece."""
        entries = sorted(numbers(piece, "<I"))
        self._unread -= len(entries)
        indexes = entries[: bisect_left(entries, ZERO)]  # without discarded and unallocated blocks
        self.used += len(indexes)
        if not indexes:
            return
        self._highest = max(self._highest, indexes[-1])
        self._match.data.add_blocks((self._data + index * self._block for index in indexes), self._block)
        self._reader.must_reach(self._data + (self._highest + 1) * self._block, "a block")
        if self._highest >= self._blocks:
            # corrupt to qemu (vdi_check)
            self._reader.find_once("header", f"the block map has block {self._highest} of {self._blocks}", key="index")
        if self.used > self._highest + 1 or not min(map(sub, indexes[1:], indexes), default=1):
            self._reader.find_once("overlap", "the block map has the same block twice", key="twice")
