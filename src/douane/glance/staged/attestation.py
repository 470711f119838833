"""What was inspected on its way into Glance's staging area: so that the import need not do it again.

A file for each image in a directory of this host, as staged bytes are of this host, too. Who reads one compares the
bytes: what the file says is about bytes with this tag, whatever is staged by now.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path

import msgspec

from douane.engine import Report
from douane.report import PropertyValue

from .tag import Tag

_MOST_BYTES = 1 << 20


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted image: its size in bytes, its tag and the key of that, the plan that it went through, and when
    (seconds, Unix)."""

    size: int
    key: bytes
    tag: bytes
    plan: str
    properties: dict[str, PropertyValue | None]
    disk_format: str | None
    container_format: str | None
    virtual_size: int | None
    at: float

    @classmethod
    def of(cls, report: Report, plan: str, tag: Tag) -> Inspected:
        """From the report of an inspection that accepted, the digest of its plan, and the tag of what came in."""
        return cls(
            size=tag.size,
            key=tag.key,
            tag=tag.end(),
            plan=plan,
            properties={**report.properties, **{name: each.value for name, each in report.proposed.items()}},
            disk_format=report.disk_format,
            container_format=report.container_format,
            virtual_size=report.virtual_size,
            at=time.time(),
        )


class Records:
    """The files in `folder`. Nothing here is needed to be safe: what is missing is inspected again."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def keep(self, image: str, inspected: Inspected) -> None:
        """Write down that what is staged for `image` was inspected. Raises OSError."""
        fd, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(inspected))
            Path(temporary).replace(self._path(image))
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise

    def find(self, image: str) -> Inspected | None:
        """What is known of `image`; None if nothing is, or if it cannot be read."""
        try:
            with self._path(image).open("rb") as file:
                return msgspec.json.decode(file.read(_MOST_BYTES), type=Inspected)
        except (OSError, msgspec.MsgspecError):
            return None

    def forget(self, image: str) -> None:
        """The image is not staged any more."""
        with contextlib.suppress(OSError):
            self._path(image).unlink()

    def _path(self, image: str) -> Path:
        # An id is a UUID, but it came in a URL: never a path, and of any length.
        return self._folder / f"{hashlib.sha256(image.encode(errors='surrogatepass')).hexdigest()}.json"
