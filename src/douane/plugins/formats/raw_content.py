"""What a raw disk begins with: the part that all of its kinds share."""

from .base import Format
from .requests import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader


class Content(Format):
    """Contents of a raw image. To every tool that looks for image formats it is ``raw``; the disk is all of it."""

    kind = "content"

    def read(self, match: "Match") -> "Reader":
        yield from whole(match)


def whole(match: "Match") -> "Reader":
    """The disk of `match` is the whole image. To be run last, as the end of the image is waited for.

    qemu-img counts raw images in sectors and rounds an odd length up to 512; what a guest reads is the file's length.
    """
    if match.size is not None:
        match.virtual_size = match.size
    yield Tail(0)
    match.virtual_size = match.total


def u16(data: bytes, at: int) -> int:
    """The little-endian 16-bit number at `at`; 0 behind the end."""
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
