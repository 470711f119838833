"""The records of the files of an image: what `douane_guest` delivers, encoded. For the reader, and for the test kit."""

from __future__ import annotations

from douane_guest import delivery
from douane_guest.filesystems.base import Unread
from douane_guest.volume import to_bytes

from . import _file_records as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

MAX_TEXT = 4096
"""Characters of the place and of the reason of an unread part that are passed on."""

FIRST_NS, LAST_NS = -(1 << 63), (1 << 63) - 1
"""Times that a record can hold, up to the year 2262. File systems have later ones."""


def record_of(event: delivery.Event) -> bytes:
    """Return the record of an event, of data with a copy of them."""
    return _ENCODERS[type(event)](event)


def _entry(event: delivery.Entry) -> bytes:
    node = event.node
    return records.pack_entry(
        node,
        min(max(node.mtime_ns, FIRST_NS), LAST_NS),
        to_bytes(event.volume.name),
        event.path,
        event.link or b"",
        event.same_as or b"",
    )


def _data(event: delivery.Data) -> bytes:
    return b"".join((records.data_header(len(event.data)), event.data))


def _unread(event: Unread) -> bytes:
    return records.unread_record(event.where[:MAX_TEXT], event.code, event.why[:MAX_TEXT])


def _volume(event: delivery.VolumeSeen) -> bytes:
    volume = event.volume
    return records.volume_record(volume.name, volume.filesystem, volume.uuid, volume.label, volume.clean)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    delivery.Entry: _entry,
    delivery.Data: _data,
    delivery.EndOfFile: lambda event: records.end_of_file_record(event.digest),
    delivery.Hole: lambda event: records.hole_record(event.length),
    delivery.VolumeSeen: _volume,
    delivery.End: lambda event: records.end_record(event.entries, event.unread),
    Unread: _unread,
}
