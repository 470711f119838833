"""Zstandard (RFC 8878): the header of the first frame, after any skippable frames."""

from . import lz4
from .compression import Compression, note_window
from .requests import Bytes
from .skippable import MAX_FRAMES, first_magic, is_skippable, read_first_magic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from .match import Match
    from .requests import Reader

MAGIC = b"\x28\xb5\x2f\xfd"
OLD_MAGICS = tuple(bytes((first,)) + MAGIC[1:] for first in range(0x22, 0x28))
"""Versions 0.2 to 0.7, from before the format was fixed. zstd(1) can be built to read 0.5 to 0.7."""


class Zstd(Compression):
    """A frame, a frame from before version 1, or skippable frames that no lz4 frame follows."""

    name = "zstd"
    decoder = "douane.plugins.decompress.zstd"

    def begins(self, head: bytes) -> bool:
        magic = first_magic(head)
        return is_skippable(head) if magic is None else magic in (MAGIC, *OLD_MAGICS)

    def read(self, match: "Match") -> "Reader":
        magic, at = yield from read_first_magic()
        if is_skippable(magic):
            match.find("odd", f"it begins with {MAX_FRAMES} skippable frames")
        elif len(magic) < 4:
            match.find("truncated", "it ends before its first frame", at)
        elif magic in OLD_MAGICS:
            match.find("version", "it is from before version 1 of the format", at)
        elif magic in lz4.MAGICS:
            match.name = "lz4"
            yield from lz4.read_frame(match, magic, at)
        elif magic != MAGIC:
            match.find("header", "what follows the skippable frames is not a frame", at)
        else:
            yield from _read_frame(match, at)


class ZstdHeader:
    """A frame header (3.1.1.1): `window` in bytes; `size` of the uncompressed data in bytes, None if unknown;
    `dictionary`, its number or 0; `reserved`, True if the reserved bit is set."""

    def __init__(self, descriptor: int, fields: bytes) -> None:
        single, dictionary, counted = _field_lengths(descriptor)
        self.reserved = bool(descriptor & 8)  # 3.1.1.1.1.4
        window, fields = fields[: not single], fields[not single :]
        self.dictionary = int.from_bytes(fields[:dictionary], "little")
        size = int.from_bytes(fields[dictionary:], "little") + (256 if counted == 2 else 0)
        self.size = size if counted else None
        if single:
            self.window = size
        else:
            base = 1 << 10 + (window[0] >> 3)
            self.window = base + base // 8 * (window[0] & 7)


def _field_lengths(descriptor: int) -> "tuple[int, int, int]":
    """1 for a single segment, which has no window; bytes of the dictionary's number; bytes of the size."""
    single = descriptor >> 5 & 1
    return single, (0, 1, 2, 4)[descriptor & 3], (single, 2, 4, 8)[descriptor >> 6]


def read_frame_header(at: int) -> "Generator[Bytes, bytes, ZstdHeader]":
    """Read the header of the frame at `at`, whose magic number is known."""
    descriptor = (yield Bytes(at + 4, 1, "the frame header"))[0]
    single, dictionary, counted = _field_lengths(descriptor)
    fields = yield Bytes(at + 5, (not single) + dictionary + counted, "the frame header")
    return ZstdHeader(descriptor, fields)


def _read_frame(match: "Match", at: int) -> "Reader":
    header = yield from read_frame_header(at)
    if header.reserved:
        match.find("unknown-feature", "the reserved bit of the frame header is set", at + 4)
    match.note("uncompressed size", "unknown" if header.size is None else header.size, at + 5)
    note_window(match, header.window, at + 5)
    if header.dictionary:
        match.find("unknown-feature", f"it needs the dictionary {header.dictionary}, which is not in it", at + 5)
