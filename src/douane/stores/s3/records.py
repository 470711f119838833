"""What lies where in the bucket, and the JSON objects that say which bytes are staged and which are an image.

Below the prefix: ``store-id``; ``staging/KEY``, made before the first byte of a key and deleted when the bytes are
an image or are gone; ``data/ORIGIN/NAME``, a segment; ``held/ORIGIN/KEY``, empty: KEY needs the segments of ORIGIN, the
key that they were written under; ``images/ID``.
"""

from __future__ import annotations

import re

import msgspec

from douane.errors import StoreError
from douane.stores.paths import is_id

STORE_ID = "store-id"
STAGING, IMAGES, DATA, HELD = "staging/", "images/", "data/", "held/"
OWN_FOLDERS = (STAGING, IMAGES, DATA, HELD)
_NAME = re.compile(r"[0-9]{4,6}-[0-9a-f]{8}")
"""Of a segment, as `staged.py` makes it."""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """An object with a part of the bytes."""

    name: str
    start: int
    """Its offset in the image."""

    length: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + self.length


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of ``staging/KEY`` and of ``images/ID``. What no segment has is a hole."""

    key: str
    origin: str
    """The key that the segments were written under."""

    size: int = 0
    segments: tuple[Segment, ...] = ()
    finished: bool = False
    writer: str = ""
    """Of staged bytes: a name that the process that writes them has made up."""

    image: str | None = None
    """Of staged bytes: the image that they become, or were."""

    deleted: bool = False
    """Of staged bytes: they are being deleted, and some may be gone."""

    @property
    def is_one_object(self) -> bool:
        """True if one object has all the bytes, and nothing else."""
        return len(self.segments) == 1 and (self.segments[0].start, self.segments[0].length) == (0, self.size)

    def cut(self, size: int) -> Record:
        """The same without what is behind the first `size` bytes."""
        segments = tuple(
            Segment(segment.name, segment.start, min(segment.end, size) - segment.start)
            for segment in self.segments
            if segment.start < size
        )
        return msgspec.structs.replace(self, size=size, segments=segments, finished=False)


def staging(key: str) -> str:
    """The object that says what is staged under `key`."""
    return f"{STAGING}{key}"


def image(image_id: str) -> str:
    """The object that makes bytes the image `image_id`."""
    return f"{IMAGES}{image_id}"


def data(origin: str, name: str = "") -> str:
    """A segment; without a name, what the paths of all segments of `origin` begin with."""
    return f"{DATA}{origin}/{name}"


def held(origin: str, key: str = "") -> str:
    """The mark that `key` needs the segments of `origin`; without a key, what the paths of all marks begin with."""
    return f"{HELD}{origin}/{key}"


def encode(record: Record) -> bytes:
    """The content of an object."""
    return msgspec.json.encode(record)


def decode(content: bytes, path: str) -> Record:
    """The record in the object at `path`. Raises StoreError (``damaged``): somebody else wrote there."""
    try:
        record = msgspec.json.decode(content, type=Record)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    if not (is_id(record.key) and is_id(record.origin) and (record.image is None or is_id(record.image))):
        raise _damaged(path, "its ids are none")
    offset = 0
    for segment in record.segments:
        if not _NAME.fullmatch(segment.name):
            raise _damaged(path, "a segment has a wrong name")
        if segment.start < offset or segment.length <= 0:
            raise _damaged(path, "its segments overlap")
        offset = segment.end
    if not offset <= record.size < 1 << 63:
        raise _damaged(path, "its size is wrong")
    folder, _, name = path.partition("/")
    if (folder + "/" == STAGING and record.key != name) or (
        folder + "/" == IMAGES and (not record.finished or record.deleted)
    ):
        raise _damaged(path, "it does not belong there")
    return record


def _damaged(path: str, reason: str) -> StoreError:
    return StoreError(f"the object {path} is not one of this store: {reason}", code="damaged")
