"""LZMA's first container, ``.lzma``: it has no signature, so all that its header can have is checked.

xz, src/liblzma/common/alone_decoder.c; the LZMA SDK's ``lzma.txt``.
"""

from .base import Format
from .decoder_memory import note_window
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_UNKNOWN = (1 << 64) - 1
_MOST = 1 << 38  # as xz has it: a size in a header of 256 GiB or more means that it is no such header
_LEAST_WINDOW = 1 << 12


class Lzma(Format):
    """Strict as ``xz --format=auto`` is, and a little more: no window under 4 KiB, and the first byte of the range
    coder, which is always zero. An image of zeros or a boot sector is not taken for one."""

    name = "lzma"
    about = "compressed data; `format` does not unpack it"
    kind = "compressed"
    allowed = True

    def begins(self, head: bytes) -> bool:
        if len(head) < 18 or head[13] or head[0] >= 225:
            return False
        literal, low = head[0] % 9, head[0] // 9 % 5
        if literal + low > 4:
            return False
        window, size = int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:13], "little")
        if window < _LEAST_WINDOW or not _is_usual(window):
            return False
        return head[14:18] != b"\xff\xff\xff\xff" and (size == _UNKNOWN or 0 < size < _MOST)

    def read(self, match: "Match") -> "Reader":
        header = yield Bytes(0, 18, "the header")
        note_window(match, int.from_bytes(header[1:5], "little"), 1)
        size = int.from_bytes(header[5:13], "little")
        match.note("uncompressed size", "unknown" if size == _UNKNOWN else size, 5)


def _is_usual(window: int) -> bool:
    """2^n, 2^n + 2^(n-1), or all bits set."""
    if window == 0xFFFFFFFF:
        return True
    low = window & -window
    return window in (low, 3 * low)
