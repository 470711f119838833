"""The footer of a VHD, with a copy at the start of images of all types but fixed ("Virtual Hard Disk Image Format
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
"""The limit of qemu (block/vpc.c: VHD_MAX_SECTORS) and Microsoft."""

_MAX_GEOMETRY = 65535 * 16 * 255
_BY_GEOMETRY = (b"vpc ", b"qemu")
"""Creators whose guests see the geometry: Virtual PC, and qemu before 2.0, which rounded the size up to it. Everybody
else's see the current size: Hyper-V, Azure (``wa``), VirtualBox (``vbox``), Virtual Server (``vs``), 86Box (``86Bx``).
qemu reads them so since 10.0 (block/vpc.c: vpc_ignore_current_size)."""

_BY_SIZE_BEFORE = (b"win ", b"qem2", b"d2v ", b"CTXS")
"""Creators (and ``tap``) for which qemu up to 9.2 took the current size. For all others it took the geometry, which
cannot express every size: the end of the disk was missing."""

_VERSION = 0x00010000


class Footer:
    """The fields of a footer of 512 bytes, or of 511 bytes in the oldest images."""

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
    def is_intact(self) -> bool:
        """True if the checksum is right: the complement of the sum of all other bytes."""
        return checksum(self.data, 64) == self.checksum

    @property
    def geometry_size(self) -> int:
        """Bytes of the disk by the geometry."""
        return self.cylinders * self.heads * self.sectors * 512

    @property
    def cylinder_bytes(self) -> int:
        """Bytes of a cylinder of the geometry, to which sizes are rounded."""
        return self.heads * self.sectors * 512

    @property
    def virtual_size(self) -> int:
        """Bytes of a dynamic disk that its guest sees."""
        return self._size(self.creator not in _BY_GEOMETRY)

    @property
    def earlier_size(self) -> int:
        """Bytes of the disk to qemu up to 9.2 (block/vpc.c: vpc_open)."""
        return self._size(self.creator in _BY_SIZE_BEFORE or self.creator[:3] == b"tap")

    def _size(self, by_size: bool, /) -> int:
        if by_size or self.geometry_size == _MAX_GEOMETRY * 512:
            return self.size // 512 * 512
        return self.geometry_size

    def meaning(self) -> "tuple[object, ...]":
        """The values that two copies must share."""
        return (self.version, self.next, self.creator, self.size, self.geometry_size, self.type)


def checksum(data: bytes, at: int) -> int:
    """The checksum of a footer or header that has its checksum in the four bytes at `at`."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF


def judge(match: "Match", footer: Footer, offset: int, size: int) -> None:
    """Note the fields of the footer at `offset` of a disk of `size` bytes, and add findings."""
    match.virtual_size = size
    match.qemu_options = {"force_size_calc": "chs" if size == footer.geometry_size else "current_size"}
    match.note("creator", repr(footer.creator)[2:-1], offset + 28)
    match.note("current size", footer.size, offset + 48)
    geometry = f"{footer.cylinders}/{footer.heads}/{footer.sectors}"
    match.note("geometry", f"{geometry}, {footer.geometry_size} bytes", offset + 56)
    match.note("type", f"{footer.type} {TYPES.get(footer.type, '')}".strip(), offset + 60)
    match.note("data offset", f"{footer.next:#x}", offset + 16)
    if not footer.is_intact:
        match.find("checksum", f"the checksum of the footer, {footer.checksum:#x}, is wrong", offset + 64)
    if footer.version != _VERSION:
        match.find("version", f"version is {footer.version:#x}, but must be {_VERSION:#x}", offset + 12)
    if footer.type not in TYPES:
        help = "convert it to a fixed or a dynamic disk"
        match.find("subformat", f"its type is {footer.type}, which is not in use", offset + 60, help=help)
    if max(footer.size, size) > MAX_BYTES:
        match.find("virtual-size", f"the disk has {footer.size} bytes, but may have at most {MAX_BYTES}", offset + 48)
    if footer.size % 512:
        match.find("unaligned-size", f"the disk has {footer.size} bytes, no multiple of 512", offset + 48)
    largest = max(footer.size, footer.earlier_size)
    if largest - size > footer.cylinder_bytes:
        # Tools round by less. A guest of Hyper-V, or of qemu of another version, would get a disk of the other size.
        detail = f"the disk has {size} bytes to some programs, and {largest} to others"
        match.find("virtual-size", detail, offset + 48)
    elif footer.earlier_size != size:
        detail = f"the disk has {size} bytes, but {footer.earlier_size}, by its geometry, to qemu before 10.0"
        match.find("odd", detail, offset + 56)
    if footer.saved:
        help = "shut the machine down, and upload its disk then"
        match.find("dirty", "it belongs to a machine with a saved state", offset + 84, help=help)
