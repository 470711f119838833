"""LZ4 frames (lz4_Frame_format.md 1.6.x), and the legacy frames of compressed Linux kernels."""

from .compression import Compression, note_window
from .requests import Bytes
from .skippable import first_magic, read_first_magic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from .match import Match
    from .requests import Reader

MAGIC, LEGACY_MAGIC = b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"
MAGICS = (MAGIC, LEGACY_MAGIC)
_MASK = 0xFFFFFFFF
_PRIMES = 2654435761, 2246822519, 3266489917, 668265263, 374761393  # xxHash's specification, XXH32


class Lz4(Compression):
    """A frame, also after skippable frames; if those exceed the first 72 KiB, zstd's reader finds the frame."""

    name = "lz4"
    decoder = "douane.plugins.decompress.lz4"

    def begins(self, head: bytes) -> bool:
        return first_magic(head) in MAGICS

    def read(self, match: "Match") -> "Reader":
        magic, at = yield from read_first_magic()
        yield from read_frame(match, magic, at)


class Lz4Header:
    """A frame header: its `flags` and `block` descriptor; `size` of the uncompressed data in bytes, None if unknown;
    `dictionary`, its number or None; `checksum_fits`; `length` in bytes, the magic number included."""

    def __init__(self, flags: int, block: int, fields: bytes) -> None:
        self.flags, self.block = flags, block
        self.size = int.from_bytes(fields[:8], "little") if flags & 8 else None
        self.dictionary = int.from_bytes(fields[-5:-1], "little") if flags & 1 else None
        self.checksum_fits = xxh32(bytes((flags, block)) + fields[:-1]) >> 8 & 0xFF == fields[-1]
        self.length = 6 + len(fields)

    @property
    def version(self) -> int:
        """The version; only 1 exists."""
        return self.flags >> 6

    @property
    def is_known(self) -> bool:
        """False if a reserved bit is set, or the block size is reserved."""
        return not (self.flags & 2 or self.block & 0x8F or self.block >> 4 < 4)

    @property
    def window(self) -> int:
        """Bytes of the largest block."""
        return 1 << 8 + 2 * (self.block >> 4 & 7)


def read_frame_header(at: int) -> "Generator[Bytes, bytes, Lz4Header]":
    """Read the header of the frame at `at`, whose magic number is :data:`MAGIC`."""
    flags, block = yield Bytes(at + 4, 2, "the frame header")
    fields = yield Bytes(at + 6, 8 * (flags >> 3 & 1) + 4 * (flags & 1) + 1, "the frame header")
    return Lz4Header(flags, block, fields)


def read_frame(match: "Match", magic: bytes, at: int) -> "Reader":
    """Read the header of the frame at `at`, behind its `magic`, one of :data:`MAGICS`."""
    if magic == LEGACY_MAGIC:
        match.variant = "legacy"
        note_window(match, 8 << 20, at)
        return
    header = yield from read_frame_header(at)
    if header.version != 1:
        match.find("version", f"its version is {header.version}, but must be 1", at + 4)
        return
    if not header.is_known:
        bits = f"{header.flags:#04x}, {header.block:#04x}"
        match.find("unknown-feature", f"the flags {bits} have reserved bits", at + 4)
    elif not header.checksum_fits:
        match.find("checksum", "the checksum of the frame header is wrong", at + header.length - 1)
    else:
        note_window(match, header.window, at + 5)
    match.note("uncompressed size", "unknown" if header.size is None else header.size, at + 6)
    if header.dictionary is not None:
        match.find("unknown-feature", f"it needs the dictionary {header.dictionary}, which is not in it", at + 6)


def xxh32(data: bytes) -> int:
    """XXH32 with the seed 0, for at most 15 bytes. Raises ValueError for more."""
    if len(data) > 15:
        raise ValueError(f"{len(data)} bytes are more than the 15 that this function hashes")
    p1, p2, p3, p4, p5 = _PRIMES
    value = p5 + len(data)
    aligned = len(data) & ~3
    for at in range(0, aligned, 4):
        value = value + int.from_bytes(data[at : at + 4], "little") * p3 & _MASK
        value = (value << 17 & _MASK | value >> 15) * p4 & _MASK
    for byte in data[aligned:]:
        value = value + byte * p5 & _MASK
        value = (value << 11 & _MASK | value >> 21) * p1 & _MASK
    value ^= value >> 15
    value = value * p2 & _MASK
    value ^= value >> 13
    value = value * p3 & _MASK
    return value ^ value >> 16
