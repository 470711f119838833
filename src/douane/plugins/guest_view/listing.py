"""What `douane ls` runs: the files of a guest, as lines."""

from __future__ import annotations

from douane_guest.errors import GuestError
from douane_guest.listing import Request, as_json, as_row, listing, unread_as_json
from douane_plugin import Transform

from .opened import argument, documented, missing, open_image, unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane_plugin import Image

PIECE_BYTES = 64 << 10
"""Lines are put out together: each piece is a system call."""


class Listing(Transform):
    """The output has a line for each object, and with `json` one for each part that could not be read.

    The document ``unread`` has these parts, too. `path` and `volume` are in hexadecimal digits.
    """

    reads = "random"

    def __init__(
        self,
        path: str | None = None,
        volume: str | None = None,
        recursive: bool = False,
        digest: bool = False,
        json: bool = False,
        unpacked: bool = False,
    ) -> None:
        self.request = Request(
            None if path is None else argument(path),
            None if volume is None else argument(volume),
            recursive,
            digest,
        )
        self.json = json
        self.unpacked = unpacked

    def transform(self, image: Image) -> Iterator[bytes]:
        """Yield the lines."""
        guest = open_image(image, unpacked=self.unpacked)
        pending = bytearray()
        try:
            for line in listing(guest, self.request, self.alive):
                pending += as_json(line) if self.json else as_row(line, digest=self.request.digest)
                if len(pending) >= PIECE_BYTES:
                    yield bytes(pending)
                    pending.clear()
        except OSError as error:
            raise missing(error, guest.unread) from error
        except GuestError as error:
            raise unreadable(self.request.path or "the image", error) from error
        if self.json:
            pending += b"".join(map(unread_as_json, guest.unread))
        yield bytes(pending)
        self.attach("unread", documented(guest.unread))
