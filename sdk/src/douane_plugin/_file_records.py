"""Records of ``reads = "files"``: what they hold, and their encoder, for the reader and the test kit.

The layout is that of `docs/wire.md`, "Records of files"; the numbers are in `wire.py`. The parser is in
`_record_reader.py`. Neither does I/O. Paths and names are text by surrogateescape.
"""

from __future__ import annotations

from _struct import Struct

from . import wire
from ._json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

HEADER = Struct("<II")
ENTRY = Struct(wire.ENTRY_FORMAT)
NUMBER = Struct("<Q")
END = Struct("<QQ")
DIGEST_BYTES = 32
_KIND_NUMBERS = {name: number for number, name in wire.ENTRY_KINDS.items()}


class EntryRecord:
    """An entry of a folder. `link` is the target of a link; `same_as` the path under which the file came before."""

    __slots__ = ("gid", "kind", "link", "mode", "mtime_ns", "path", "same_as", "size", "uid", "volume")

    def __init__(
        self,
        path: str,
        volume: str,
        kind: str,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime_ns: int,
        link: Optional[str] = None,
        same_as: Optional[str] = None,
    ) -> None:
        self.path = path
        self.volume = volume
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.mtime_ns = mtime_ns
        self.link = link
        self.same_as = same_as


def volume_record(name: str, filesystem: str, uuid: str, label: str, clean: Optional[bool]) -> bytes:
    """Return the record of a volume."""
    fields = {"name": name, "filesystem": filesystem, "uuid": uuid, "label": label, "clean": clean}
    return _record(wire.RECORD_VOLUME, dumps(fields).encode())


def entry_record(entry: Any) -> bytes:
    """Return the record of an entry: any object with the attributes of :class:`EntryRecord`.

    Raises ValueError if it does not fit into a record.
    """
    volume, path, link, same_as = [
        _to_bytes(text or "") for text in (entry.volume, entry.path, entry.link, entry.same_as)
    ]
    return pack_entry(entry, entry.mtime_ns, volume, path, link, same_as)


def pack_entry(node: Any, mtime_ns: int, volume: bytes, path: bytes, link: bytes, same_as: bytes) -> bytes:
    """Return the record of an entry: `node` has the other numbers of :class:`EntryRecord`. Raises ValueError."""
    try:
        fixed = ENTRY.pack(
            *(node.size, mtime_ns, node.mode, node.uid, node.gid, _KIND_NUMBERS[node.kind]),
            *(len(volume), len(path), len(link), len(same_as)),
        )
    except Exception as error:  # struct.error, whose import would cost time
        raise ValueError(f"the entry {path!r:.200} does not fit into a record: {error}") from None
    return _record(wire.RECORD_ENTRY, b"".join((fixed, volume, path, link, same_as)))


def data_header(length: int) -> bytes:
    """Return the header of a record of `length` bytes of the current file, 1 to MAX_RECORD; the bytes follow it."""
    if not 0 < length <= wire.MAX_RECORD:
        raise ValueError(f"a record holds 1 to {wire.MAX_RECORD} bytes of a file, not {length}")
    return HEADER.pack(wire.RECORD_DATA, length)


def hole_record(length: int) -> bytes:
    """Return the record of `length` zeros of the current file, 1 or more."""
    if length < 1:
        raise ValueError(f"a hole has 1 byte or more, not {length}")
    return _record(wire.RECORD_HOLE, NUMBER.pack(length))


def end_of_file_record(digest: Optional[bytes]) -> bytes:
    """Return the record of the end of a file. `digest` is its sha256, None if it could not be read whole."""
    if digest is not None and len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
    return _record(wire.RECORD_END_OF_FILE, digest or b"")


def unread_record(place: str, code: str, why: str) -> bytes:
    """Return the record of a part that could not be read."""
    return _record(wire.RECORD_UNREAD, dumps({"place": place, "code": code, "why": why}).encode())


def end_record(entries: int, unread: int) -> bytes:
    """Return the last record: the numbers of entries and of unread parts that came."""
    return _record(wire.RECORD_END, END.pack(entries, unread))


def _record(kind: int, payload: bytes) -> bytes:
    if len(payload) > wire.MAX_RECORD:
        raise ValueError(f"{wire.RECORD_TYPES[kind]} has {len(payload)} bytes, more than {wire.MAX_RECORD}")
    return HEADER.pack(kind, len(payload)) + payload


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
