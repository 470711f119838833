"""Archives and compressed data that Douane recognises and does not unpack: a class for each, in the last lines.

To a hypervisor they are raw bytes, and a guest would get the archive as its disk. So they are accepted as before, and
the finding `not-unpacked` says what they are.
"""

from .base import WARN, Format
from .requests import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader


class Packed(Format):
    """An archive, or compressed data."""

    about = "packed data that Douane does not unpack"
    kind = "archive"
    allowed = True
    codes = (
        (
            "not-unpacked",
            WARN,
            "it is packed by a program that Douane does not know: a guest would get the packed bytes as its disk; "
            "unpack it and upload the disk",
        ),
    )

    def read(self, match: "Match") -> "Reader":
        match.find("not-unpacked", f"it is {self.name}, which only its own program unpacks", 0)
        yield Tail(0)


class SevenZip(Packed):
    """7-Zip (7zFormat.txt, SignatureHeader)."""

    name = "7z"
    signatures = ((0, b"7z\xbc\xaf\x27\x1c"),)


class Rar(Packed):
    """RAR (rarlab.com/technote.htm): version 5, and versions 1.5 to 4."""

    name = "rar"
    signatures = ((0, b"Rar!\x1a\x07\x01\0"), (0, b"Rar!\x1a\x07\0"))


class Lzip(Packed):
    """lzip (its manual, "File format"): magic, version 1, and a dictionary of 4 KiB to 512 MiB by its exponent."""

    name = "lzip"

    def begins(self, head: bytes) -> bool:
        return head.startswith(b"LZIP\1") and 12 <= (head[5] & 31 if len(head) > 5 else 12) <= 29


class Lzop(Packed):
    """lzop (its source, lzop.c: lzop_magic)."""

    name = "lzop"
    signatures = ((0, b"\x89LZO\0\r\n\x1a\n"),)


class Lrzip(Packed):
    """lrzip (its file doc/magic.header.txt)."""

    name = "lrzip"
    signatures = ((0, b"LRZI\0"),)


class UnixCompress(Packed):
    """compress(1), ``.Z`` (ncompress, compress42.c): the third byte has the number of bits of a code, 9 to 16, in its
    lower five bits; the next two are unused."""

    name = "compress"

    def begins(self, head: bytes) -> bool:
        return head.startswith(b"\x1f\x9d") and len(head) > 2 and 9 <= head[2] & 0x1F <= 16 and not head[2] & 0x60
