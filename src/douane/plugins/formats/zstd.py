"""Zstandard (RFC 8878): its first frame's header, behind any frames that are to be skipped."""

from . import lz4
from .base import Format
from .decoder_memory import note_window
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"\x28\xb5\x2f\xfd"
_OLD = tuple(bytes((first,)) + MAGIC[1:] for first in range(0x22, 0x28))  # v0.2 to v0.7; zstd still reads v0.5 on
_MOST_SKIPPED = 1024


class Zstd(Format):
    """A frame, one of before version 1, or one to be skipped (which lz4 has, too: what follows decides)."""

    name = "zstd"
    about = "compressed data; `format` does not unpack it"
    kind = "compressed"
    allowed = True

    def begins(self, head: bytes) -> bool:
        if not lz4.is_skippable(head):
            return head[:4] in (MAGIC, *_OLD)
        magic = lz4.magic_behind_skippable(head)
        return magic is None or magic in (MAGIC, *_OLD)

    def read(self, match: "Match") -> "Reader":
        at = 0
        for _ in range(_MOST_SKIPPED):
            magic = yield Bytes(at, 4, "a frame", short=True)
            if not lz4.is_skippable(magic):
                break
            length = yield Bytes(at + 4, 4, "the length of a frame")
            at += 8 + int.from_bytes(length, "little")
        if lz4.is_skippable(magic):
            match.find("odd", f"it begins with {_MOST_SKIPPED} frames that are to be skipped")
        elif len(magic) < 4:
            match.find("truncated", "it ends before its first frame", at)
        elif magic in _OLD:
            match.find("version", "it is from before version 1 of the format", at)
        elif magic in lz4.MAGICS:
            match.name = "lz4"
            yield from lz4.read_frame(match, magic, at)
        elif magic != MAGIC:
            match.find("header", "what follows the frames that are to be skipped is not a frame", at)
        else:
            yield from _read_frame(match, at)


def _read_frame(match: "Match", at: int) -> "Reader":
    descriptor = (yield Bytes(at + 4, 1, "the frame header"))[0]
    single, dictionary = descriptor >> 5 & 1, (0, 1, 2, 4)[descriptor & 3]
    counts = (single, 2, 4, 8)[descriptor >> 6]
    fields = yield Bytes(at + 5, (not single) + dictionary + counts, "the frame header")
    if descriptor & 8:
        match.find("unknown-feature", "the reserved bit of the frame header is set", at + 4)  # 3.1.1.1.1.4
    size = int.from_bytes(fields[len(fields) - counts :], "little") + (256 if counts == 2 else 0) if counts else None
    match.note("uncompressed size", "unknown" if size is None else size, at + 5)
    if single:
        window = size or 0
    else:
        base = 1 << 10 + (fields[0] >> 3)
        window = base + base // 8 * (fields[0] & 7)
    note_window(match, window, at + 5)
    number = int.from_bytes(fields[not single :][:dictionary], "little")
    if number:
        match.find("unknown-feature", f"it needs the dictionary {number}, which is not in it", at + 5)
