"""Bytes of an S3 store that are read."""

from __future__ import annotations

from .bucket import Bucket
from .records import Record, data


class S3Bytes:
    """See `StoredBytes`. Nothing is open between two reads."""

    fd: int | None = None

    def __init__(self, bucket: Bucket, record: Record) -> None:
        self._bucket = bucket
        self.record = record
        self.size = record.size

    def read_into(self, view: memoryview, offset: int) -> int:
        """See `StoredBytes`; ``damaged`` if a segment is gone or too short."""
        end = min(offset + len(view), self.size)
        position = offset
        for segment in self.record.segments:
            start, stop = max(segment.start, position), min(segment.end, end)
            if start >= stop:
                continue
            _clear(view, position - offset, start - offset)
            path = data(self.record.origin, segment.name)
            self._bucket.read_into(path, view[start - offset : stop - offset], start - segment.start)
            position = stop
        _clear(view, position - offset, end - offset)
        return max(0, end - offset)

    def close(self) -> None:
        """See `StoredBytes`."""


class S3Object:
    """An object that another service wrote into the bucket."""

    fd: int | None = None

    def __init__(self, bucket: Bucket, path: str) -> None:
        self._bucket = bucket
        self._path = path
        self.size = bucket.size(path, "read the location")

    def read_into(self, view: memoryview, offset: int) -> int:
        """See `StoredBytes`."""
        length = max(0, min(len(view), self.size - offset))
        if length:
            self._bucket.read_into(self._path, view[:length], offset)
        return length

    def close(self) -> None:
        """See `StoredBytes`."""


def _clear(view: memoryview, start: int, stop: int) -> None:
    if stop > start:
        view[start:stop] = bytes(stop - start)
