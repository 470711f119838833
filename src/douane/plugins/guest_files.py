"""The reader of files: what the plugins with ``reads = "files"`` share. Douane starts it; no plan names it."""

from __future__ import annotations

from douane_guest.budget import DEPTH, ENTRIES, Budget
from douane_guest.delivery import Data, End, EndOfFile, Entry, Hole, VolumeSeen, bounds_of, deliver
from douane_guest.filesystems.base import Unread
from douane_guest.guest import open_guest
from douane_guest.source import FileSource
from douane_guest.volume import to_text
from douane_plugin import Transform
from douane_plugin._file_records import (
    EntryRecord,
    data_header,
    end_of_file_record,
    end_record,
    entry_record,
    hole_record,
    unread_record,
    volume_record,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from douane_guest.delivery import Event
    from douane_plugin import Image

DELIVERED = 128 << 30
"""As the largest output of a transform (`max_output`)."""

PIECE_BYTES = 256 << 10
"""Records are written together up to this; each write is a system call, and each of a few bytes would cost as much."""
MAX_PLACE = 4096
"""Bytes of the place and of the reason of an unread part that are passed on."""
LISTED = 200
LISTED_PLACE = 500
"""Unread parts in the report, and characters of each: a report has room for 256 KiB of documents."""

TIMES = (-(1 << 63), (1 << 63) - 1)
"""Nanoseconds that a record can hold, to the year 2262. File systems have later times."""


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
        guest = open_guest(FileSource(image.file.fileno()), Budget(entries=self.entries, depth=self.depth))
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


def record_of(event: Event) -> bytes:
    """The record of an event."""
    if isinstance(event, Entry):
        return entry_record(_entry(event))
    if isinstance(event, Data):
        return data_header(len(event.data)) + bytes(event.data)
    if isinstance(event, EndOfFile):
        return end_of_file_record(event.digest)
    if isinstance(event, Hole):
        return hole_record(event.length)
    if isinstance(event, Unread):
        return unread_record(event.where[:MAX_PLACE], event.code, event.why[:MAX_PLACE])
    if isinstance(event, VolumeSeen):
        volume = event.volume
        return volume_record(volume.name, volume.filesystem, volume.uuid, volume.label, volume.clean)
    assert isinstance(event, End)
    return end_record(event.entries, event.unread)


def _entry(event: Entry) -> EntryRecord:
    node = event.node
    return EntryRecord(
        to_text(event.path),
        event.volume.name,
        node.kind,
        node.mode,
        node.uid,
        node.gid,
        node.size,
        min(max(node.mtime_ns, TIMES[0]), TIMES[1]),
        None if event.link is None else to_text(event.link),
        None if event.same_as is None else to_text(event.same_as),
    )


def _as_text(listed: list[dict[str, str]]) -> list[dict[str, str]]:
    """As a document may be: bytes of a path that are no UTF-8 are shown as Python escapes them, and no NUL."""
    return [
        {key: text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") for key, text in part.items()}
        for part in listed
    ]
