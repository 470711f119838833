"""VHD: the footer, which is also the first thing in images of all types but fixed ("Virtual Hard Disk Image Format
Specification 1.0", Microsoft, "Hard Disk Footer Format")."""

from struct import unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

COOKIE = b"conectix"
BYTES = 512
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
TYPES = {FIXED: "fixed", DYNAMIC: "dynamic", DIFFERENCING: "differencing"}

MAX_BYTES = 2040 << 30
"""qemu's limit (block/vpc.c: VHD_MAX_SECTORS) and Microsoft's."""

_MAX_GEOMETRY = 65535 * 16 * 255
_BY_SIZE = (b"win ", b"qem2", b"d2v ", b"CTXS")
"""Creators whose disks are as large as the size says (and ``tap``); of others the geometry counts: the rule of qemu up
to 9.2. Since 10.0 all but the next ones go by their size, Azure's ``wa`` and VirtualBox' ``vbox`` for two."""

_BY_GEOMETRY = (b"vpc ", b"qemu")

_VERSION = 0x00010000


class Footer:
    """The fields of a footer, of its 512 bytes; of the oldest ones, which have 511, the last may be missing."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.version: int
        self.next: int
        self.size: int
        self.cylinders: int
        self.heads: int
        self.sectors: int
        self.type: int
        self.checksum: int
        self.version, self.next = unpack_from(">IQ", data, 12)
        self.creator = data[28:32]
        self.size, self.cylinders, self.heads, self.sectors = unpack_from(">QHBB", data, 48)
        self.type, self.checksum = unpack_from(">II", data, 60)
        self.saved = data[84]

    @property
    def sums(self) -> bool:
        """True if the checksum fits: the complement of the sum of all other bytes."""
        return checksum(self.data, 64) == self.checksum

    @property
    def geometry_size(self) -> int:
        """Bytes of the disk by its geometry."""
        return self.cylinders * self.heads * self.sectors * 512

    @property
    def virtual_size(self) -> int:
        """Bytes of the disk as qemu up to 9.2 sees it (block/vpc.c: vpc_open)."""
        by_size = self.creator in _BY_SIZE or self.creator[:3] == b"tap"
        return self._size(by_size)

    @property
    def later_size(self) -> int:
        """Bytes of the disk as qemu since 10.0 sees it (vpc_ignore_current_size)."""
        return self._size(self.creator not in _BY_GEOMETRY)

    def _size(self, by_size: bool, /) -> int:
        if by_size or self.geometry_size == _MAX_GEOMETRY * 512:
            return self.size // 512 * 512
        return self.geometry_size

    def meaning(self) -> "tuple[object, ...]":
        """What two copies have to have in common."""
        return (self.version, self.next, self.creator, self.size, self.geometry_size, self.type)


def checksum(data: bytes, at: int) -> int:
    """Of a footer or header whose checksum is the four bytes at `at`."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF


def judge(match: "Match", footer: Footer, offset: int) -> None:
    """Note the fields of the footer at `offset`, find what is wrong with it, and tell the size of the disk."""
    match.virtual_size = footer.virtual_size
    match.note("creator", repr(footer.creator)[2:-1], offset + 28)
    match.note("current size", footer.size, offset + 48)
    geometry = f"{footer.cylinders}/{footer.heads}/{footer.sectors}"
    match.note("geometry", f"{geometry}, {footer.geometry_size} bytes", offset + 56)
    match.note("type", f"{footer.type} {TYPES.get(footer.type, '')}".strip(), offset + 60)
    match.note("data offset", f"{footer.next:#x}", offset + 16)
    if not footer.sums:
        match.find("checksum", f"the footer's checksum is {footer.checksum:#x}, and should be another", offset + 64)
    if footer.version != _VERSION:
        match.find("version", f"version {footer.version:#x}, and {_VERSION:#x} is the only one", offset + 12)
    if footer.type not in TYPES:
        match.find("subformat", f"type {footer.type}, which is not used", offset + 60)
    if max(footer.size, footer.virtual_size) > MAX_BYTES:
        match.find("virtual-size", f"a disk of {footer.size} bytes, and {MAX_BYTES} is the most", offset + 48)
    if footer.size % 512:
        match.find("unaligned-size", f"a disk of {footer.size} bytes", offset + 48)
    if footer.later_size != footer.virtual_size:
        what = f"a disk of {footer.virtual_size} bytes by its geometry, as qemu before 10.0 reads it"
        match.find("odd", f"{what}, and of {footer.later_size} by its size, as later ones do", offset + 56)
    if footer.saved:
        match.find("dirty", "it belongs to a machine whose state was saved", offset + 84)
