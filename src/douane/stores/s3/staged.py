"""Staged bytes in an S3 store: segments that are being written, and the record that says which are complete."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from douane.errors import StoreError

from .bucket import PART_BYTES, Bucket
from .errors import explained
from .records import Record, Segment, data, staging

if TYPE_CHECKING:
    from obstore import WritableFile

SEGMENT_BYTES = 9_000 * PART_BYTES
"""An upload in parts has at most 10,000 of them (S3), all of one length: a longer image has several objects, instead of
parts whose memory grows with it."""

HOLE_BYTES = 16 << 20
"""A shorter hole is written as zeros: a segment costs requests, and an image without holes is one object."""

MAX_SEGMENTS = 1_000
"""Further holes are written, so that the record stays small."""

_ZEROS = bytes(1 << 20)


class S3Staged:
    """See `Staged`. A write copies into memory and waits while `PARTS_AT_ONCE` parts are on their way."""

    fd: int | None = None

    def __init__(self, bucket: Bucket, record: Record, discard: Callable[[str], bool]) -> None:
        """`discard` deletes what is stored under a key."""
        self.key = record.key
        self.record = record
        self.is_open = True
        self._bucket = bucket
        self._discard = discard
        self._writer: WritableFile | None = None
        self._segment = ""
        self._start = self._position = record.size
        self._failure: str | None = None
        self._recorded = set(record.segments)
        """The segments that the object in staging/ has named: whoever took the bytes over may need them."""

    def write(self, view: memoryview, offset: int) -> None:
        """See `Staged`."""
        self._require_open()
        if offset < self._position:
            raise StoreError("the bytes of an object are written in order")
        self._reach(offset)
        # obstore goes on reading the memory that it was given, and that of `view` is the caller's again.
        self._append(bytes(view))

    def _reach(self, offset: int) -> None:
        """Leave out a hole, or write its zeros."""
        if offset - self._position >= HOLE_BYTES and len(self.record.segments) < MAX_SEGMENTS:
            self._end_segment()
            self._start = self._position = offset
        while self._position < offset:
            self._append(_ZEROS[: offset - self._position])

    def _append(self, piece: bytes) -> None:
        while piece:
            part = piece[: self._start + SEGMENT_BYTES - self._position]
            if self._writer is None:
                # Another name than that of a process that wrote under this key before, and may be paused.
                self._segment = f"{len(self.record.segments):04}-{uuid.uuid4().hex[:8]}"
                with self._explained():
                    self._writer = self._bucket.open_writer(data(self.record.origin, self._segment))
            with self._explained():
                self._writer.write(part)
            self._position += len(part)
            piece = piece[len(part) :]
            if self._position - self._start >= SEGMENT_BYTES:
                self._end_segment()

    def _end_segment(self) -> None:
        if self._writer is not None:
            with self._explained():
                self._writer.close()
            self._writer = None
            segment = Segment(self._segment, self._start, self._position - self._start)
            self.record = msgspec.structs.replace(
                self.record, segments=(*self.record.segments, segment), size=self._position
            )
        self._start = self._position

    def open_read(self) -> None:
        """None: what is not complete cannot be read."""

    def explain(self, error: OSError) -> StoreError:
        """Never needed: `write` and `finish` raise StoreError."""
        return StoreError(f"cannot write the image to {self._bucket.place}: {error.strerror}")

    def keep(self, size: int) -> None:
        """See `Staged`: end the segment, and record it."""
        self._record_bytes(size, finished=False)

    def finish(self, size: int) -> None:
        """See `Staged`: the last segment is complete, and the record says so."""
        self._record_bytes(size, finished=True)

    def _record_bytes(self, size: int, *, finished: bool) -> None:
        self._require_open()
        self._reach(size)
        self._end_segment()
        self._write_record(msgspec.structs.replace(self.record, size=size, finished=finished))

    def cut(self, size: int) -> None:
        """See `Staged`: the segments behind it are deleted, when the record does not name them any more."""
        self._require_open()
        if self._position < size:
            raise StoreError(f"the staged image {self.key} has {self._position} bytes, and not {size}", code="damaged")
        self._abort()
        behind = [segment.name for segment in self.record.segments if segment.start >= size]
        self._write_record(self.record.cut(size))
        self._start = self._position = size
        paths = [data(self.record.origin, name) for name in behind]
        self._bucket.delete(paths, "delete what is behind the staged image")

    def _write_record(self, record: Record) -> None:
        current = self._bucket.record(staging(self.key), "finish the staged image")
        if current is None or current.writer != self.record.writer:
            raise StoreError(f"the staged image {self.key} was taken over by another process", code="in-use")
        self._bucket.write_record(staging(self.key), record, "finish the staged image")
        self.record = record
        self._recorded = set(record.segments)

    def discard(self) -> None:
        """See `Staged`."""
        if self.is_open:
            try:
                self._abort()
                self._discard(self.key)
                self._delete_unrecorded()
            finally:
                self.is_open = False

    def close(self) -> None:
        """See `Staged`: what is not kept or finished is given up."""
        if self.is_open:
            self.is_open = False
            self._abort()
            self._delete_unrecorded()

    def _delete_unrecorded(self) -> None:
        """Delete the segments that only this object knows: the bytes may have been discarded before they came."""
        names = [segment.name for segment in self.record.segments if segment not in self._recorded]
        self._bucket.delete([data(self.record.origin, name) for name in names], "delete unrecorded bytes")

    def _abort(self) -> None:
        """End an upload, so that the server forgets its parts."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        error = InterruptedError()
        try:
            with explained("abort an upload", self._bucket.place, self._segment):
                writer.__exit__(InterruptedError, error, None)
        except StoreError:
            return  # the server's rule for incomplete uploads deletes the parts (docs)

    def _explained(self) -> AbstractContextManager[None]:
        return explained("write the image to the store", self._bucket.place, self._segment)

    def _require_open(self) -> None:
        if not self.is_open:
            raise StoreError(f"the staged image {self.key} was published or discarded already", code="not-found")
