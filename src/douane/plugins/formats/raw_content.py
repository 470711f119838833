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
