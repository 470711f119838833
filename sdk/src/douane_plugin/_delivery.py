"""The records of the files of an image: what `douane_guest` delivers, encoded. For the reader, and for the test kit."""

from __future__ import annotations

from douane_guest import delivery
from douane_guest.filesystems.base import Unread
from douane_guest.volume import to_text

from . import _file_records as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

MAX_TEXT = 4096
"""Characters of the place and of the reason of an unread part that are passed on."""

FIRST_NS, LAST_NS = -(1 << 63), (1 << 63) - 1
"""Times that a record can hold, up to the year 2262. File systems have later ones."""


def record_of(event: delivery.Event) -> bytes:
    """Return the record of an event, of data with a copy of them."""
    if isinstance(event, delivery.Entry):
        return records.entry_record(_entry_of(event))
    if isinstance(event, delivery.Data):
        return b"".join((records.data_header(len(event.data)), event.data))
    if isinstance(event, delivery.EndOfFile):
        return records.end_of_file_record(event.digest)
    if isinstance(event, delivery.Hole):
        return records.hole_record(event.length)
    if isinstance(event, Unread):
        return records.unread_record(event.where[:MAX_TEXT], event.code, event.why[:MAX_TEXT])
    if isinstance(event, delivery.VolumeSeen):
        volume = event.volume
        return records.volume_record(volume.name, volume.filesystem, volume.uuid, volume.label, volume.clean)
    return records.end_record(event.entries, event.unread)


def _entry_of(event: delivery.Entry) -> records.EntryRecord:
    node = event.node
    return records.EntryRecord(
        to_text(event.path),
        event.volume.name,
        *(node.kind, node.mode, node.uid, node.gid, node.size),
        min(max(node.mtime_ns, FIRST_NS), LAST_NS),
        _text(event.link),
        _text(event.same_as),
    )


def _text(path: Optional[bytes]) -> Optional[str]:
    return None if path is None else to_text(path)
