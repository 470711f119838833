"""Bzip2: blocks of at most 900 kB, no headers beyond the first (bzip2 1.0.8, decompress.c)."""

from .compression import Compression
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"BZh"
_BLOCK, _END = bytes.fromhex("314159265359"), bytes.fromhex("177245385090")


class Bzip2(Compression):
    """``BZh``, the size of blocks, and the magic number of a block (pi) or of the end (its root)."""

    name = "bzip2"
    decoder = "douane.plugins.decompress.bzip2"

    def begins(self, head: bytes) -> bool:
        return head.startswith(MAGIC) and head[3:4] in b"123456789" and head[4:10] in (_BLOCK, _END)

    def read(self, match: "Match") -> "Reader":
        header = yield Bytes(0, 14, "the header")
        match.note("block size", (header[3] - ord("0")) * 100_000, 3)
