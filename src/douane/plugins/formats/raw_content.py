"""What a raw disk begins with: the part that all of its kinds share."""

from .base import Format
from .requests import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Look
    from .requests import Reader


class Content(Format):
    """Contents of a raw image. To every tool that looks for image formats it is ``raw``; the disk is all of it."""

    kind = "content"

    def read(self, look: "Look") -> "Reader":
        yield from whole(look)


def whole(look: "Look") -> "Reader":
    """The disk of `look` is the whole image. To be run last, as the end of the image is waited for.

    qemu-img counts raw images in sectors and rounds an odd length up to 512; what a guest reads is the file's length.
    """
    if look.size is not None:
        look.virtual_size = look.size
    yield Tail(0)
    look.virtual_size = look.total


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
