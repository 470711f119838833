"""LZMA's first container, ``.lzma``: it has no signature, so every field of its header is checked.

xz, src/liblzma/common/alone_decoder.c; the LZMA SDK's ``lzma-specification.txt``.
"""

from .compression import Compression, note_window
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from .match import Match
    from .requests import Reader

_HEADER_BYTES, _RANGE_BYTES = 13, 5
_UNKNOWN = (1 << 64) - 1
_MAX_SIZE = 1 << 38  # as in xz: a larger size in a header means that it is no such header
_MIN_WINDOW = 1 << 12


class Lzma(Compression):
    """Recognised as strictly as by ``xz --format=auto``, and a little more: no window under 4 KiB, and the first byte
    of the range coder is zero. So no image of zeros and no boot sector is taken for lzma."""

    name = "lzma"
    decoder = "douane.plugins.decompress.lzma"

    def begins(self, head: bytes) -> bool:
        if len(head) < _HEADER_BYTES + _RANGE_BYTES or head[_HEADER_BYTES] or head[0] >= 225:
            return False
        literal, low = head[0] % 9, head[0] // 9 % 5
        if literal + low > 4:
            return False
        header = LzmaHeader(head)
        if header.window < _MIN_WINDOW or not _is_usual(header.window):
            return False
        return header.size is None or 0 < header.size < _MAX_SIZE

    def read(self, match: "Match") -> "Reader":
        header = yield from read_header()
        note_window(match, header.window, 1)
        match.note("uncompressed size", "unknown" if header.size is None else header.size, 5)
        code = yield Bytes(_HEADER_BYTES, _RANGE_BYTES, "the beginning of the stream")
        if code == b"\0\xff\xff\xff\xff":
            # RangeDecoder.Init of the specification: "Corrupted". xz and lzma call it corrupt, too.
            match.find("header", "its stream cannot be decoded: the code is as large as the range", _HEADER_BYTES)


class LzmaHeader:
    """`window` in bytes; `size` of the uncompressed data in bytes, None if unknown."""

    def __init__(self, data: bytes) -> None:
        self.window = int.from_bytes(data[1:5], "little")
        size = int.from_bytes(data[5:_HEADER_BYTES], "little")
        self.size = None if size == _UNKNOWN else size


def read_header() -> "Generator[Bytes, bytes, LzmaHeader]":
    """Read the header at the beginning."""
    return LzmaHeader((yield Bytes(0, _HEADER_BYTES, "the header")))


def _is_usual(window: int) -> bool:
    """2^n, 2^n + 2^(n-1), or all bits set."""
    if window == 0xFFFFFFFF:
        return True
    low = window & -window
    return window in (low, 3 * low)
