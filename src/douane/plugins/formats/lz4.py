"""LZ4 frames (lz4_Frame_format.md 1.6.x), and the legacy ones that Linux kernels are compressed with."""

from .base import HEAD_BYTES, Format
from .decoder_memory import note_window
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_FRAME, _LEGACY = b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"
MAGICS = (_FRAME, _LEGACY)
_MASK = 0xFFFFFFFF
_PRIMES = 2654435761, 2246822519, 3266489917, 668265263, 374761393  # xxHash's specification, XXH32


class Lz4(Format):
    """A frame, also behind frames that are to be skipped; if they go beyond the first 72 KiB, zstd's reader sees it."""

    name = "lz4"
    about = "compressed data; `format` does not unpack it"
    kind = "compressed"
    allowed = True

    def begins(self, head: bytes) -> bool:
        return (magic_behind_skippable(head) if is_skippable(head) else head[:4]) in MAGICS

    def read(self, match: "Match") -> "Reader":
        at = 0
        while True:
            magic = yield Bytes(at, 4, "a frame")
            if not is_skippable(magic):
                break
            length = yield Bytes(at + 4, 4, "the length of a frame")
            at += 8 + int.from_bytes(length, "little")
        yield from read_frame(match, magic, at)


def is_skippable(head: bytes) -> bool:
    """True if `head` begins with a frame that both zstd and lz4 skip (RFC 8878, 3.1.2)."""
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50


def magic_behind_skippable(head: bytes) -> "bytes | None":
    """The first four bytes behind all such frames; None if they are not in `head`."""
    at = 0
    while is_skippable(head[at : at + 4]) and at + 8 <= len(head):
        at += 8 + int.from_bytes(head[at + 4 : at + 8], "little")
    return head[at : at + 4] if at + 4 <= min(len(head), HEAD_BYTES) else None


def read_frame(match: "Match", magic: bytes, at: int) -> "Reader":
    """The header of the frame at `at`, behind its `magic`, one of :data:`MAGICS`."""
    if magic == _LEGACY:
        match.variant = "legacy"
        note_window(match, 8 << 20, at)
        return
    flags, block = yield Bytes(at + 4, 2, "the frame header")
    sized, dictionary = flags >> 3 & 1, flags & 1
    fields = yield Bytes(at + 6, 8 * sized + 4 * dictionary + 1, "the frame header")
    if flags >> 6 != 1:
        match.find("version", f"its version is {flags >> 6}, and 1 is the one there is", at + 4)
        return
    if flags & 2 or block & 0x8F or block >> 4 < 4:
        match.find("unknown-feature", f"the flags {flags:#04x}, {block:#04x} have a meaning that is not known", at + 4)
    elif xxh32(bytes((flags, block)) + fields[:-1]) >> 8 & 0xFF != fields[-1]:
        match.find("checksum", "the checksum of the frame header is wrong", at + 6 + len(fields) - 1)
    else:
        note_window(match, 1 << 8 + 2 * (block >> 4), at + 5)
    match.note("uncompressed size", int.from_bytes(fields[:8], "little") if sized else "unknown", at + 6)
    if dictionary:
        number = int.from_bytes(fields[-5:-1], "little")
        match.find("unknown-feature", f"it needs the dictionary {number}, which is not in it", at + 6)


def xxh32(data: bytes) -> int:
    """XXH32 with the seed 0 of at most 15 bytes. Raises ValueError for more."""
    if len(data) > 15:
        raise ValueError(f"{len(data)} bytes are more than this knows to hash")
    p1, p2, p3, p4, p5 = _PRIMES
    value = p5 + len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        value = value + int.from_bytes(data[at : at + 4], "little") * p3 & _MASK
        value = (value << 17 & _MASK | value >> 15) * p4 & _MASK
    for byte in data[whole:]:
        value = value + byte * p5 & _MASK
        value = (value << 11 & _MASK | value >> 21) * p1 & _MASK
    value ^= value >> 15
    value = value * p2 & _MASK
    value ^= value >> 13
    value = value * p3 & _MASK
    return value ^ value >> 16
