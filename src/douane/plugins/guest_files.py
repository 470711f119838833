"""The reader of files: what the plugins with ``reads = "files"`` share. Douane starts it; no plan names it."""

from __future__ import annotations

from douane_guest.budget import DEPTH, ENTRIES, Budget
from douane_guest.delivery import Data, bounds_of, deliver
from douane_guest.direct_source import open_file
from douane_guest.guest import open_guest
from douane_plugin import Transform
from douane_plugin._delivery import record_of
from douane_plugin._file_records import data_header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from douane_plugin import Image

DELIVERED = 128 << 30
"""As the largest output of a transform (`max_output`)."""

PIECE_BYTES = 256 << 10
"""Records are written together up to this; each write is a system call, and each of a few bytes would cost as much."""
LISTED = 200
LISTED_PLACE = 500
"""Unread parts in the report, and characters of each: a report has room for 256 KiB of documents."""


class GuestFiles(Transform):
    """Read every file of an image once, for all plugins with ``reads = "files"``: their records are its output.

    Configuration: the bounds of ``[guest]``.

    ``entries`` (int, 10000000)
        Files, folders and links.
    ``depth`` (int, 128)
        Folders in folders.
    ``delivered`` (int, 128 GiB)
        Bytes of files, and of zeros in their holes that are hashed. For most disks a smaller bound applies: eight times
        the bytes of the disk, for holes once, and 1 GiB at least.

    The document ``unread`` has what could not be read: the number of parts, and the first of them.
    """

    reads = "random"

    def __init__(self, entries: int = ENTRIES, depth: int = DEPTH, delivered: int = DELIVERED) -> None:
        self.entries = entries
        self.depth = depth
        self.delivered = delivered

    def transform(self, image: Image) -> Iterator[Any]:
        """Yield the records."""
        budget = Budget(entries=self.entries, depth=self.depth)
        guest = open_guest(open_file(image.file.fileno()), budget, image.disk_format)
        piece = bytearray()
        for event in deliver(guest, bounds_of(guest, self.delivered), self.alive):
            if type(event) is Data and len(event.data) >= PIECE_BYTES // 4:
                yield piece + data_header(len(event.data))
                yield event.data
                piece.clear()
                continue
            piece += record_of(event)
            if len(piece) >= PIECE_BYTES:
                yield piece
                piece = bytearray()
        yield piece
        parts = list(guest.unread)
        listed = [
            {"place": part.where[:LISTED_PLACE], "code": part.code, "why": part.why[:LISTED_PLACE]}
            for part in parts[:LISTED]
        ]
        self.attach("unread", {"parts": len(parts), "listed": _as_text(listed)})


def _as_text(listed: list[dict[str, str]]) -> list[dict[str, str]]:
    """As a document may be: bytes of a path that are no UTF-8 are shown as Python escapes them, and no NUL."""
    return [
        {key: text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") for key, text in part.items()}
        for part in listed
    ]
