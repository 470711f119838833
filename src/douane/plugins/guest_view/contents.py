"""What `douane cat` runs: the bytes of a file of a guest."""

from __future__ import annotations

from douane_guest.errors import GuestError
from douane_guest.listing import tree_of
from douane_plugin import Transform

from .opened import argument, documented, missing, open_image, unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane_plugin import Image

PIECE_BYTES = 1 << 20


class Contents(Transform):
    """The output is the file. The document ``unread`` has the parts that could not be read.

    `path` and `volume` are in hexadecimal digits.
    """

    reads = "random"

    def __init__(self, path: str, volume: str | None = None, unpacked: bool = False) -> None:
        self.path = argument(path)
        self.volume = None if volume is None else argument(volume)
        self.unpacked = unpacked

    def transform(self, image: Image) -> Iterator[bytes]:
        """Yield the bytes."""
        guest = open_image(image, unpacked=self.unpacked)
        try:
            file = tree_of(guest, self.volume).open(self.path)
            while piece := file.read(PIECE_BYTES):
                yield piece
        except OSError as error:
            raise missing(error, guest.unread) from error
        except GuestError as error:
            raise unreadable(self.path, error) from error
        self.attach("unread", documented(guest.unread))
