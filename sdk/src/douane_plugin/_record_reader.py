"""The parser of the records of ``reads = "files"``, for the runtime and the test kit.

It does no I/O: a function returns the next chunk. The records come from a process that has parsed an image of a
stranger, so each length and the order of the records are checked.
"""

from __future__ import annotations

from . import wire
from ._file_records import DIGEST_BYTES, END, ENTRY, HEADER, NUMBER, EntryRecord
from ._guest_facts import UnreadPart, Volume
from ._json import loads
from ._views import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

MAX_SIZE = (1 << 63) - 1
"""Of a file, as off_t has it."""

MAX_VOLUME_NAMES = 1000
"""That are kept, so that the name of a volume is one string for all of its entries."""


class BrokenRecords(ValueError):
    """The bytes are no sequence of records, or end before the last one."""


class RecordReader:
    """The records of a stream that `take` returns in chunks, in any cutting; None is its end.

    :meth:`next` returns the type of the next record and its value: a :class:`Volume`, an :class:`EntryRecord`, an
    :class:`UnreadPart`; of RECORD_HOLE its length, of RECORD_END_OF_FILE the digest or None, of RECORD_END None. A
    record of data comes as one `memoryview` or several, each a part of a chunk: no byte is copied. It is valid until
    :meth:`next` is called again; then it is released, and the chunk before `take` is called.
    """

    def __init__(self, take: Callable[[], Optional[memoryview]], entry_class: type[EntryRecord] = EntryRecord) -> None:
        self._take = take
        self._entry_class = entry_class
        self._chunk: Optional[memoryview] = None
        self._position = 0
        self._end = 0
        self._lent: Optional[memoryview] = None
        self._data = 0  # bytes of the current record of data that have not come
        self._entry: Optional[EntryRecord] = None  # whose bytes come
        self._file_position = 0
        self._entries = 0
        self._unread = 0
        self._is_complete = True  # each file came whole
        self._volume_names: dict[bytes, str] = {}
        self.ended = False

    def next(self) -> tuple[int, Any]:
        """Return the next record; raises BrokenRecords, and what `take` raises. Not to be called after RECORD_END."""
        if self._lent is not None:
            self.release()
        if self._data:
            return wire.RECORD_DATA, self._piece()
        position = self._position
        if self._end - position >= wire.HEADER_BYTES:
            kind, length = HEADER.unpack_from(self._chunk, position)  # type: ignore[arg-type]
            self._position = position + wire.HEADER_BYTES
        else:
            kind, length = HEADER.unpack(self._bytes(wire.HEADER_BYTES))
        if length > wire.MAX_RECORD:
            raise BrokenRecords(f"a record of the type {kind} has {length} bytes, more than {wire.MAX_RECORD}")
        if kind == wire.RECORD_DATA:
            if not length:
                raise BrokenRecords("a record of data is empty")
            self._move(length)
            self._data = length
            return kind, self._piece()
        return kind, self._value(kind, self._bytes(length))

    def release(self) -> None:
        """Revoke the piece of data that :meth:`next` has returned."""
        lent, self._lent = self._lent, None
        if lent is not None:
            release(lent)

    def _value(self, kind: int, payload: bytes) -> Any:
        if kind == wire.RECORD_ENTRY:
            return self._new_entry(payload)
        if kind == wire.RECORD_END_OF_FILE:
            return self._end_of_file(payload)
        if kind == wire.RECORD_HOLE:
            (length,) = _unpack(NUMBER, payload, "a hole")
            if not length:
                raise BrokenRecords("a hole is empty")
            self._move(length)
            return length
        if kind == wire.RECORD_UNREAD:
            self._unread += 1
            return _unread_of(_json_of(payload))
        if kind == wire.RECORD_VOLUME:
            if self._entries:
                raise BrokenRecords("a volume comes after the first entry")
            return _volume_of(_json_of(payload))
        if kind == wire.RECORD_END:
            return self._check_end(*_unpack(END, payload, "the end"))
        raise BrokenRecords(f"a record is of the unknown type {kind}")

    def _new_entry(self, payload: bytes) -> EntryRecord:
        if self._entry is not None:
            raise BrokenRecords("an entry comes before the end of the file before it")
        if len(payload) < ENTRY.size:
            raise BrokenRecords(f"an entry has {len(payload)} bytes")
        size, mtime_ns, mode, uid, gid, number, volume, path, link, same_as = ENTRY.unpack_from(payload)
        if ENTRY.size + volume + path + link + same_as != len(payload) or not path:
            raise BrokenRecords(f"the lengths of an entry do not add up to {len(payload)} bytes, or its path is empty")
        kind = wire.ENTRY_KINDS.get(number)
        if kind is None or size > MAX_SIZE:
            raise BrokenRecords(f"an entry has the kind {number} and the size {size}")
        volume_end = ENTRY.size + volume
        path_end = volume_end + path
        link_end = path_end + link
        entry = self._entry_class(
            payload[volume_end:path_end].decode("utf-8", "surrogateescape"),
            self._volume_name(payload[ENTRY.size : volume_end]),
            *(kind, mode, uid, gid, size, mtime_ns),
            payload[path_end:link_end].decode("utf-8", "surrogateescape") if link else None,
            payload[link_end:].decode("utf-8", "surrogateescape") if same_as else None,
        )
        self._entries += 1
        if kind == "file" and not same_as:
            self._entry = entry
            self._file_position = 0
        return entry

    def _volume_name(self, name: bytes) -> str:
        text = self._volume_names.get(name)
        if text is None:
            text = name.decode("utf-8", "surrogateescape")
            if len(self._volume_names) < MAX_VOLUME_NAMES:
                self._volume_names[name] = text
        return text

    def _move(self, length: int) -> None:
        if self._entry is None:
            raise BrokenRecords("bytes come that belong to no file")
        self._file_position += length
        if self._file_position > self._entry.size:
            raise BrokenRecords(f"a file of {self._entry.size} bytes has more of them")

    def _end_of_file(self, payload: bytes) -> Optional[bytes]:
        entry, self._entry = self._entry, None
        if entry is None:
            raise BrokenRecords("the end of a file comes, and there is no file")
        if len(payload) not in (0, DIGEST_BYTES):
            raise BrokenRecords(f"a digest has {len(payload)} bytes")
        if payload and self._file_position != entry.size:
            raise BrokenRecords(f"of a file of {entry.size} bytes, {self._file_position} came, and a digest")
        self._is_complete = self._is_complete and bool(payload)
        return payload or None

    def _check_end(self, entries: int, unread: int) -> None:
        if self._entry is not None:
            raise BrokenRecords("the last record comes before the end of a file")
        if (entries, unread) != (self._entries, self._unread):
            raise BrokenRecords(
                f"{self._entries} entries and {self._unread} unread parts came, but there are {entries} and {unread}"
            )
        if not self._is_complete and not unread:
            raise BrokenRecords("a file could not be read whole, and no unread part says why")
        if self._position < self._end or self._next_chunk():
            raise BrokenRecords("bytes follow the last record")
        self.ended = True

    def _piece(self) -> memoryview:
        if self._position >= self._end and not self._next_chunk():
            raise BrokenRecords("the records end within the bytes of a file")
        start = self._position
        self._position = end = min(self._end, start + self._data)
        self._data -= end - start
        self._lent = piece = self._chunk[start:end]  # type: ignore[index]  # there is one
        return piece

    def _bytes(self, count: int) -> bytes:
        """Return a copy of the next `count` bytes."""
        start = self._position
        if count <= self._end - start:
            self._position = start + count
            return bytes(self._chunk[start : start + count]) if count else b""  # type: ignore[index]
        parts = []
        while count:
            if self._position >= self._end and not self._next_chunk():
                raise BrokenRecords("the records end before the last of them")
            start = self._position
            self._position = end = min(self._end, start + count)
            parts.append(bytes(self._chunk[start:end]))  # type: ignore[index]
            count -= end - start
        return b"".join(parts)

    def _next_chunk(self) -> bool:
        chunk, self._chunk = self._chunk, None
        self._position = self._end = 0
        if chunk is not None:
            release(chunk)
            del chunk
        while True:
            chunk = self._take()
            if chunk is None:
                return False
            if len(chunk):
                self._chunk, self._end = chunk, len(chunk)
                return True


def _unpack(layout: Any, payload: bytes, what: str) -> tuple[Any, ...]:
    if len(payload) != layout.size:
        raise BrokenRecords(f"{what} has {len(payload)} bytes, not {layout.size}")
    values: tuple[Any, ...] = layout.unpack(payload)
    return values


def _json_of(payload: bytes) -> dict[str, Any]:
    try:
        value = loads(payload.decode())
    except (ValueError, StopIteration, RecursionError) as error:
        raise BrokenRecords(f"a record is not JSON: {error}") from None
    if type(value) is not dict:
        raise BrokenRecords("a record is not a JSON object")
    return value


def _unread_of(fields: dict[str, Any]) -> UnreadPart:
    return UnreadPart(*[_text(fields, name) for name in ("place", "code", "why")])


def _volume_of(fields: dict[str, Any]) -> Volume:
    clean = fields.get("clean")
    if clean is not None and type(clean) is not bool:
        raise BrokenRecords("a volume is neither clean nor not")
    name, filesystem, uuid, label = [_text(fields, name) for name in ("name", "filesystem", "uuid", "label")]
    return Volume(name, filesystem, uuid, label, clean)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if type(value) is not str:
        raise BrokenRecords(f"the field {name!r} of a record is missing, or is not a text")
    return value
