"""The calls to the server: small objects, parts of large ones, and lists. Every call raises StoreError."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import obstore

from douane.errors import StoreError

from .errors import explained
from .records import Record, decode, encode

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import S3Store

PART_BYTES = 8 << 20
RECORD_BYTES = 1 << 20
"""Of a small object: a record of 1,000 segments has 50 KB."""

PARTS_AT_ONCE = 4
"""Parts in memory, for each image that is written, beside the part that is being filled."""


class Bucket:
    """The objects below the prefix of one store; `place` is what errors call it."""

    def __init__(self, client: S3Store, place: str) -> None:
        self._client = client
        self.place = place

    def read(self, path: str, doing: str) -> bytes | None:
        """The content of a small object; None if it does not exist. ``damaged`` if it is not small."""
        try:
            with explained(doing, self.place, path):
                found = obstore.get(self._client, path)
                if found.meta["size"] > RECORD_BYTES:
                    raise StoreError(
                        f"the object {path} in {self.place} is not one of this store: it is too long", code="damaged"
                    )
                return bytes(found.bytes())
        except StoreError as error:
            if error.code == "not-found":
                return None
            raise

    def record(self, path: str, doing: str) -> Record | None:
        """The record in an object; None if it does not exist."""
        content = self.read(path, doing)
        return None if content is None else decode(content, path)

    def create(self, path: str, content: bytes, doing: str) -> bool:
        """Make an object that does not exist; False if there is one. One of several that do it at once succeeds."""
        try:
            with explained(doing, self.place, path):
                obstore.put(self._client, path, content, mode="create", use_multipart=False)
        except StoreError as error:
            # A request that was repeated since its answer was lost finds its own object.
            if error.code not in ("exists", "store-away") or self.read(path, doing) != content:
                if error.code == "exists":
                    return False
                raise
        return True

    def write(self, path: str, content: bytes, doing: str) -> None:
        """Make or replace a small object."""
        with explained(doing, self.place, path):
            obstore.put(self._client, path, content, mode="overwrite", use_multipart=False)

    def write_record(self, path: str, record: Record, doing: str) -> None:
        """Make or replace the object of a record."""
        self.write(path, encode(record), doing)

    def open_writer(self, path: str) -> WritableFile:
        """A writer of a large object, in parts; the object exists when the writer is closed."""
        return obstore.open_writer(self._client, path, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def read_into(self, path: str, view: memoryview, start: int) -> None:
        """Fill `view` from `start` on. ``damaged`` if the object is too short or gone."""
        with explained("read the image", self.place, path):
            try:
                content = obstore.get_range(self._client, path, start=start, length=len(view))
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                raise StoreError(
                    f"the store {self.place} has lost {path}, a part of an image", code="damaged"
                ) from None
        if len(content) != len(view):
            raise StoreError(f"the object {path} in {self.place} is shorter than it was", code="damaged")
        view[:] = memoryview(content)

    def size(self, path: str, doing: str) -> int:
        """The length of an object. ``not-found``."""
        with explained(doing, self.place, path):
            return int(obstore.head(self._client, path)["size"])

    def names(self, folder: str, doing: str) -> Iterator[str]:
        """The names of the objects in a folder, without it. S3 lists in the order of the names: a list without order
        might have no end."""
        last = ""
        with explained(doing, self.place, folder):
            for page in obstore.list(self._client, folder):
                for meta in page:
                    path = str(meta["path"])
                    if path <= last or not path.startswith(folder):
                        raise StoreError(
                            f"cannot {doing}: {self.place} answers with a list that has no order, or has objects of "
                            "other folders",
                            code="store-unreadable",
                        )
                    last = path
                    yield path.removeprefix(folder)

    def require_listed(self, folder: str, name: str, doing: str) -> None:
        """Raise StoreError if the list of a folder lacks an object that is there: obstore takes an answer that is no
        list for an empty one, by which bytes that others need would be deleted."""
        if name not in self.names(folder, doing):
            raise StoreError(
                f"cannot {doing}: {self.place} answers with a list that lacks {folder}{name}", code="store-unreadable"
            )

    def delete(self, paths: Sequence[str], doing: str) -> None:
        """Delete objects, whether they exist or not."""
        if paths:
            with explained(doing, self.place, paths[0]):
                obstore.delete(self._client, list(paths))
