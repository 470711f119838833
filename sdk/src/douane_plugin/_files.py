"""``image.files()``: the records of ``reads = "files"`` as files, each with its bytes while they pass."""

from __future__ import annotations

from . import wire
from ._exceptions import Incomplete
from ._file_records import EntryRecord
from ._guest_facts import UnreadPart, Volume, part_text, unread_answer
from ._record_reader import BrokenRecords, RecordReader
from ._views import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Optional

ZERO_BYTES = 1 << 20
"""Bytes of the chunks that a hole of a file is cut into."""

MAX_PARTS = 10_000
"""Unread parts that are kept one by one."""

_NO_BYTES, _NEXT, _ENDED, _SKIPPED = range(4)
"""Where the bytes of a file are: there are none; they come; they have come; they have come, and the plugin did not read
all of them."""


class ImageFile(EntryRecord):
    """An entry of a folder of the image, as ``image.files()`` yields it.

    `path` (with a leading slash) and `volume` are where it is, `kind` is ``"file"``, ``"dir"``, ``"link"``, ``"fifo"``,
    ``"socket"``, ``"char"`` or ``"block"``; `mode` (permissions, without the kind), `uid`, `gid`, `size` in bytes and
    `mtime_ns` are as for stat(2). `link` is the target of a link, `same_as` the path under which the same file came
    before, for a further name of it; both are None for all other entries. Bytes that are not UTF-8 are in these texts
    by ``surrogateescape``.

    A file has bytes, unless it is `same_as` another: iterate over it, or use :meth:`data` or :meth:`read`. They come
    once, and only until the next file is asked for. All other entries have none.
    """

    __slots__ = ("_digest", "_files", "_hole", "_place", "_position", "_rest")

    _files: ImageFiles
    _place: int
    _position: int
    """Of the next byte that the records have."""

    _hole: int
    """Zeros before that byte which have not been given to the plugin."""

    _rest: Optional[memoryview]
    """Bytes before that byte, as for the zeros; :meth:`read` leaves some."""

    _digest: Optional[bytes]

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the bytes in order as read-only ``memoryview`` chunks, holes as zeros.

        A chunk is never empty, and of any length. It is valid until the next one, or the next file, is asked for, as
        the chunks of an image are. Raises ValueError if the next file was asked for before, and :class:`Incomplete`
        where the image cannot be read.
        """
        for chunk in self._pieces():
            if isinstance(chunk, int):
                zeros = self._files.zeros()
                while self._hole:
                    length = min(self._hole, ZERO_BYTES)
                    self._hole -= length
                    view = zeros[:length]
                    yield view
                    release(view)
            else:
                yield chunk

    def data(self) -> Iterator[tuple[int, memoryview]]:
        """Yield ``(offset, chunk)`` as iteration does, without the holes: what lies between the chunks is zero."""
        for chunk in self._pieces():
            if isinstance(chunk, int):
                self._hole = 0
            else:
                yield self._position - len(chunk), chunk

    def read(self, most: int) -> bytes:
        """Return the next bytes, `most` of them; fewer only at the end of the file, ``b""`` after it. Raises as
        iteration does."""
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ValueError(f"read(most) takes a number of bytes, 0 or more, not {most!r:.100}")
        parts = []
        pieces = self._pieces()
        while most:
            chunk = next(pieces, None)
            if chunk is None:
                break
            if isinstance(chunk, int):
                part = bytes(min(self._hole, most))
                self._hole -= len(part)
            else:
                part = bytes(chunk[:most])
                self._rest = chunk[most:] if most < len(chunk) else None
            most -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def digest(self) -> Optional[str]:
        """The SHA-256 of the bytes, in hexadecimal digits; bytes that the plugin has not read are skipped.

        None if the file could not be read whole, and for an entry without bytes.
        """
        if self._place == _NEXT:
            self._skip()
        return self._digest.hex() if self._digest is not None else None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.path}>"

    def _begin(self, files: ImageFiles) -> None:
        self._files = files
        self._place = _NEXT if self.kind == "file" and self.same_as is None else _NO_BYTES
        self._position = self._hole = 0
        self._rest = None
        self._digest = None

    def _pieces(self) -> Iterator[Any]:
        """Yield chunks, and the lengths of holes; what is left of either when this ends stays for the next call."""
        if self._place == _SKIPPED:
            raise ValueError(
                f"the bytes of {self.path!r:.200} have passed: read them before you ask for the next file or the digest"
            )
        rest, self._rest = self._rest, None
        if rest is not None:
            yield rest
            release(rest)
        if self._hole:
            yield self._hole
        reader = self._files.reader
        while self._place == _NEXT:
            kind, value = self._files.next()
            if kind == wire.RECORD_DATA:
                self._position += len(value)
                self._files.offset += len(value)
                yield value
                reader.release()
            elif kind == wire.RECORD_HOLE:
                self._position += value
                self._hole = value
                yield value
            elif kind == wire.RECORD_END_OF_FILE:
                self._end(value, _ENDED)
                if value is None and self._position < self.size:
                    raise self._files.unread_file(self)

    def _skip(self) -> None:
        rest, self._rest = self._rest, None
        is_part = rest is not None or self._hole > 0
        del rest
        self._hole = 0
        while self._place == _NEXT:
            kind, value = self._files.next()
            if kind == wire.RECORD_END_OF_FILE:
                self._end(value, _SKIPPED if is_part or value is None else _ENDED)
            else:
                is_part = True

    def _end(self, digest: Optional[bytes], place: int) -> None:
        self._digest = digest
        self._place = place


class ImageFiles:
    """The files of one image, as an iterator: `take` returns the next chunk of the records, or None at their end."""

    def __init__(self, take: Callable[[], Optional[memoryview]]) -> None:
        self.reader = RecordReader(take, ImageFile)
        self.asked = False
        """The plugin has been shown all unread parts."""

        self.failure: Optional[Incomplete] = None
        """Why the records broke off."""

        self.current: Optional[ImageFile] = None
        self._ahead: Optional[ImageFile] = None  # read to know all volumes
        self._volumes: list[Volume] = []
        self._parts: list[UnreadPart] = []
        self._zeros: Optional[memoryview] = None
        self.offset = 0
        """Bytes of files, without holes, that the plugin has been given."""

    def position(self) -> str:
        """Return where the plugin is, as a line for the operator."""
        file = self.current
        return f"at {part_text(f'{file.volume}:{file.path}', f'byte {file._position}')}\n" if file is not None else ""

    def __iter__(self) -> Iterator[ImageFile]:
        return self

    def __next__(self) -> ImageFile:
        file, self._ahead = self._ahead, None
        if file is None:
            file = self._next_file()
        if file is None:
            raise StopIteration
        return file

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes, all of which come before the first file."""
        if self.current is None:
            self._ahead = self._next_file()
        return tuple(self._volumes)

    @property
    def unread(self) -> tuple[UnreadPart, ...]:
        """The parts that could not be read, once all files have passed."""
        parts = self.parts()
        self.asked = True
        return parts

    def parts(self) -> tuple[UnreadPart, ...]:
        """Return all unread parts, and skip the files that have not been asked for."""
        while self._next_file() is not None:
            pass
        return tuple(self._parts)

    def check_unread(self) -> None:
        """Raise Incomplete if there are unread parts for which the plugin has not asked."""
        parts = () if self.asked else self.parts()
        if parts:
            raise unread_answer(parts)

    def _next_file(self) -> Optional[ImageFile]:
        self._ahead = None
        if self.current is not None and self.current._place == _NEXT:
            self.current._skip()
        while not self.reader.ended:
            kind, value = self.next()
            if kind == wire.RECORD_ENTRY:
                value._begin(self)
                file: ImageFile = value
                self.current = file
                return file
            if kind == wire.RECORD_VOLUME:
                self._volumes.append(value)
        return None

    def next(self) -> tuple[int, Any]:
        """Return the next record that is no unread part; keep those. Raises Incomplete if the records break off."""
        if self.failure is not None:
            raise self.failure
        try:
            while True:
                record = self.reader.next()
                if record[0] != wire.RECORD_UNREAD:
                    return record
                if len(self._parts) < MAX_PARTS:
                    self._parts.append(record[1])
        except BrokenRecords as error:
            self.failure = Incomplete(
                "guest-reader-failed", f"the files of the image could not be read to their end: {error}"
            )
            raise self.failure from error

    def unread_file(self, file: ImageFile) -> Incomplete:
        """Return the exception for a file whose bytes end early."""
        place = f"{file.volume}:{file.path}"
        for part in reversed(self._parts):
            if part.place == place:
                return Incomplete(part.code, part_text(place, part.why))
        return Incomplete("guest-broken", part_text(place, "the file could not be read whole"))

    def zeros(self) -> memoryview:
        """Return zeros."""
        if self._zeros is None:
            self._zeros = memoryview(bytes(ZERO_BYTES))
        return self._zeros
