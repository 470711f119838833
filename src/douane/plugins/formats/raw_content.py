"""The content of raw disks: the base of all formats that describe the start of a raw disk."""

from .base import Format
from .requests import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader


class Content(Format):
    """Content of a raw image: ``raw`` to every tool that looks for disk formats. The disk is the whole image."""

    kind = "content"

    def read(self, match: "Match") -> "Reader":
        """Take the length of the image as the size of the disk."""
        yield from read_whole_disk(match)


def read_whole_disk(match: "Match") -> "Reader":
    """Take the length of the image as the size of the disk. Run this last: it waits for the end of the image.

    qemu-img counts raw images in sectors and rounds an odd length up to 512 bytes; a guest reads the file's length.
    """
    if match.size is not None:
        match.virtual_size = match.size
    yield Tail(0)
    match.virtual_size = match.total


def u16(data: bytes, at: int) -> int:
    """The little-endian 16-bit number at `at`; 0 past the end."""
    return int.from_bytes(data[at : at + 2], "little")


def u32(data: bytes, at: int) -> int:
    """The little-endian 32-bit number at `at`."""
    return int.from_bytes(data[at : at + 4], "little")


def u64(data: bytes, at: int) -> int:
    """The little-endian 64-bit number at `at`."""
    return int.from_bytes(data[at : at + 8], "little")


def be32(data: bytes, at: int) -> int:
    """The big-endian 32-bit number at `at`."""
    return int.from_bytes(data[at : at + 4], "big")


def be64(data: bytes, at: int) -> int:
    """The big-endian 64-bit number at `at`."""
    return int.from_bytes(data[at : at + 8], "big")
