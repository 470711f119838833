"""The store itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import msgspec

from douane.errors import StoreError
from douane.own_folders import register_secret
from douane.stores.base import Staged, StoredBytes
from douane.stores.copying import copy_stored
from douane.stores.paths import checked_id, is_id

from . import records
from .bucket import Bucket
from .locations import is_of_a_store, path_below
from .options import S3Options, open_bucket, split_location
from .records import Record, encode, held, staging
from .staged import S3Staged
from .stored import S3Bytes, S3Object
from .strays import delete_strays
from .uploads import Uploads


class S3Store:
    """A store in a bucket, below a prefix. For the methods see :class:`~douane.stores.base.Store`.

    Safe for any number of processes on any number of machines, as long as the one that publishes or discards staged
    bytes is the one that the catalog says.
    """

    needs_leases = True

    def __init__(self, location: str, **options: object) -> None:
        """`location`: ``//BUCKET/PREFIX``. Connects to nothing. Raises PlanError."""
        self._name, self._prefix = split_location(location)
        self.options = S3Options(**options)  # type: ignore[arg-type]
        if self.options.credentials_file is not None:
            register_secret(self.options.credentials_file)
        self.place = f"s3://{self._name}/{self._prefix}".rstrip("/")
        self._bucket = Bucket(open_bucket(self._name, self._prefix, self.options), self.place)
        self._uploads = Uploads(self._name, self._prefix, self.options)
        self._is_expected = False
        self._identity: str | None = None

    def identity(self) -> str:
        """See `Store`: the object ``store-id``."""
        doing = "read the store's identity"
        content = self._bucket.read(records.STORE_ID, doing)
        if content is None:
            if self._is_expected:
                raise self._away()
            content = str(uuid.uuid4()).encode()
            if not self._bucket.create(records.STORE_ID, content, "give the store its identity"):
                content = self._bucket.read(records.STORE_ID, doing) or b""
        identity = content.decode("ascii", "replace").strip()
        if not is_id(identity):
            raise StoreError(
                f"the object {records.STORE_ID} in {self.place} is not the identity of a store: it was changed from "
                "outside",
                code="damaged",
            )
        self._is_expected = True
        return identity

    def expect_images(self) -> None:
        """See `Store`."""
        self._is_expected = True

    def advice(self) -> list[str]:
        """What the operator should know of the bucket, for the log."""
        advice = self._uploads.advice()
        return [] if advice is None else [advice]

    def _away(self) -> StoreError:
        return StoreError(
            f"the store {self.place} is gone: its bucket has no {records.STORE_ID}; nothing is stored without it",
            code="store-away",
        )

    def _require_present(self) -> None:
        if self._is_expected and self._bucket.read(records.STORE_ID, "look for the store") is None:
            raise self._away()

    # -- staging ---------------------------------------------------------------------------------------------

    def stage(self, key: str) -> S3Staged:
        """See `Store`."""
        checked_id(key)
        if self._identity is None:
            self._identity = self.identity()
        record = Record(key=key, origin=key, writer=uuid.uuid4().hex)
        if not self._bucket.create(staging(key), encode(record), "stage the image"):
            raise StoreError(f"cannot stage the image: {self.place} has {staging(key)} already", code="exists")
        return self._hold(record)

    def _hold(self, record: Record) -> S3Staged:
        mark = held(record.origin, record.key)
        self._bucket.write(mark, b"", "stage the image")
        # This process may have been stopped for longer than its lease: then the bytes were discarded.
        current = self._bucket.record(staging(record.key), "stage the image")
        if current is None:
            self._bucket.delete([mark], "stage the image")
        if current is None or current.writer != record.writer:
            raise StoreError(f"the staged image {record.key} was taken over by another process", code="in-use")
        return S3Staged(self._bucket, record, self.discard)

    def _staged(self, key: str, doing: str) -> Record:
        record = self._bucket.record(staging(checked_id(key)), doing)
        if record is None or record.deleted:
            self._require_present()
            raise StoreError(f"cannot {doing}: {self.place} has no staged image {key}", code="not-found")
        return record

    def adopt(self, key: str, size: int) -> S3Staged:
        """See `Store`; nobody is seen to claim the bytes."""
        record = self._staged(key, "take over the staged image")
        if not record.finished or record.size != size:
            state = f"{record.size} bytes" if record.finished else "not all its bytes"
            raise StoreError(f"the staged image {key} has {state}, not {size}: import it again", code="damaged")
        return S3Staged(self._bucket, record, self.discard)

    def resume(self, key: str, offset: int, confirm: Callable[[], None] | None = None) -> S3Staged:
        """See `Store`. Whoever wrote before can neither keep nor finish anything under this key any more."""
        record = self._staged(key, "continue the staged image")
        if confirm is not None:
            confirm()
        if record.size < offset:
            raise StoreError(f"the staged image {key} has {record.size} bytes, and {offset} were kept", code="damaged")
        record = msgspec.structs.replace(record.cut(offset), writer=uuid.uuid4().hex)
        self._bucket.write_record(staging(key), record, "continue the staged image")
        return S3Staged(self._bucket, record, self.discard)

    def staged_keys(self) -> Iterator[str]:
        """See `Store`."""
        return self._ids(records.STAGING)

    def is_abandoned(self, key: str) -> bool:
        """See `Store`: no claim of another process is seen."""
        return self._bucket.record(staging(checked_id(key)), "look at the staged image") is not None

    def open_staged(self, key: str) -> S3Bytes:
        """See `Store`."""
        record = self._staged(key, "read the staged image")
        if not record.finished:
            raise StoreError(f"the staged image {key} is not finished, so it cannot be read", code="not-finished")
        return S3Bytes(self._bucket, record)

    def link_staged(self, key: str, new_key: str) -> S3Staged:
        """See `Store`: another key that needs the same segments."""
        record = self._staged(key, "stage the image again")
        if not record.finished:
            raise StoreError(f"the staged image {key} is not finished", code="not-finished")
        linked = msgspec.structs.replace(record, key=checked_id(new_key), writer=uuid.uuid4().hex, image=None)
        if not self._bucket.create(staging(new_key), encode(linked), "stage the image again"):
            raise StoreError(f"cannot stage the image: {self.place} has {staging(new_key)} already", code="exists")
        staged = self._hold(linked)
        # `_drop` takes the mark of `key` away before it looks for other marks: one of the two sees the other.
        if self._bucket.read(held(record.origin, key), "stage the image again") is None:
            staged.discard()
            raise StoreError(f"the staged image {key} was deleted by another process", code="not-found")
        return staged

    def discard(self, key: str) -> bool:
        """See `Store`; the caller knows that nobody needs the bytes. Those of an image stay."""
        record = self._bucket.record(staging(checked_id(key)), "delete the staged image")
        if record is None:
            return False
        if record.image is not None:
            published = self._bucket.record(records.image(record.image), "delete the staged image")
            if published is not None and published.key == key:
                self._bucket.delete([staging(key)], "delete the staged image")
                return True
        self._bucket.write_record(
            staging(key), msgspec.structs.replace(record, deleted=True), "delete the staged image"
        )
        if not record.finished:
            self._uploads.abort(records.data(key))
        self._drop(record)
        return True

    def _drop(self, record: Record) -> None:
        """Delete the bytes, unless another key needs them. May be repeated: the object in staging/ goes last."""
        doing = "delete the bytes of an image"
        mark = held(record.origin, record.key)
        if record.key not in self._bucket.names(held(record.origin), doing):  # a request may come late, when it is gone
            self._bucket.write(mark, b"", doing)
            self._bucket.require_listed(held(record.origin), record.key, doing)
        self._bucket.delete([mark], doing)
        if not any(self._bucket.names(held(record.origin), doing)):
            folder = records.data(record.origin)
            names = {*self._bucket.names(folder, doing), *(segment.name for segment in record.segments)}
            self._bucket.delete([folder + name for name in sorted(names)], doing)
        self._bucket.delete([staging(record.key)], doing)

    def delete_strays(self) -> int:
        """See `Store`."""
        return delete_strays(self._bucket)

    # -- publishing ------------------------------------------------------------------------------------------

    def publish(self, staged: Staged, image_id: str) -> None:
        """See `Store`: the object of the image is created on the condition that there is none."""
        path = records.image(checked_id(image_id))
        if not isinstance(staged, S3Staged):
            raise TypeError("a staged image is published by the store that staged it")
        if not staged.record.finished:
            raise StoreError(f"the staged image {staged.key} is not finished: not published", code="not-finished")
        if not staged.is_open:
            raise StoreError(f"the staged image {staged.key} was published or discarded already", code="not-found")
        self._require_present()
        record = msgspec.structs.replace(staged.record, image=image_id)
        # From here on `discard` looks whether the image exists before it deletes bytes.
        self._bucket.write_record(staging(staged.key), record, "publish the image")
        published = msgspec.structs.replace(record, writer="", image=None)
        if not self._bucket.create(path, encode(published), "publish the image"):
            existing = self._bucket.record(path, "publish the image")
            if existing is None or existing.key != staged.key:
                raise StoreError(
                    f"cannot publish the image: {self.place} has {path} already, and nothing is ever replaced",
                    code="exists",
                )
        staged.is_open = False
        try:
            self._bucket.delete([staging(staged.key)], "publish the image")
        except StoreError:
            return  # the next sweep deletes it, and not the bytes

    # -- images ----------------------------------------------------------------------------------------------

    def _image(self, image_id: str, doing: str) -> Record | None:
        record = self._bucket.record(records.image(checked_id(image_id)), doing)
        if record is None:
            self._require_present()
        return record

    def exists(self, image_id: str) -> bool:
        """See `Store`."""
        return self._image(image_id, "look for the image") is not None

    def open(self, image_id: str) -> S3Bytes:
        """See `Store`."""
        record = self._image(image_id, "read the image")
        if record is None:
            raise StoreError(f"the store {self.place} has no image {image_id}", code="not-found")
        return S3Bytes(self._bucket, record)

    def location(self, image_id: str) -> str | None:
        """See `Store`: an object of this bucket, if the image is one object."""
        record = self._image(image_id, "read the image")
        if record is None or not record.is_one_object:
            return None
        return f"{self.place}/{records.data(record.origin, record.segments[0].name)}"

    def open_location(self, url: str, *, images: bool) -> S3Object | None:
        """See `Store`: an object below the prefix."""
        path = path_below(self.place, url)
        if path is None:
            return None
        if is_of_a_store(path, images=images):
            raise StoreError(f"cannot read the location: {path} in {self.place} is a store's own", code="in-use")
        return S3Object(self._bucket, path)

    def clones(self, image_id: str) -> int:
        """0: no object depends on another."""
        return 0

    def size(self, image_id: str) -> int:
        """See `Store`."""
        return self.open(image_id).size

    def copy_to(self, image_id: str, fd: int, *, name: str = "the output", sparse: bool = False) -> int:
        """See `Store`."""
        return copy_stored(self.open(image_id), fd, name, sparse=sparse)

    def delete(self, image_id: str, *, only: StoredBytes | None = None) -> None:
        """See `Store`. Who reads the image gets an error then."""
        path = records.image(image_id)
        record = self._image(image_id, "delete the image")
        if record is None or (only is not None and not _is_same(only, record)):
            return
        # If this process dies, the next sweep finds the key, and deletes the bytes, unless the image is still there.
        abandoned = msgspec.structs.replace(record, image=image_id, deleted=True)
        self._bucket.write_record(staging(record.key), abandoned, "delete the image")
        self._bucket.delete([path], "delete the image")
        self._drop(record)

    def image_ids(self) -> Iterator[str]:
        """See `Store`."""
        return self._ids(records.IMAGES)

    def _ids(self, folder: str) -> Iterator[str]:
        is_empty = True
        for name in self._bucket.names(folder, "list the store"):
            is_empty = False
            if is_id(name):
                yield name
        if is_empty:
            self._require_present()


def _is_same(opened: StoredBytes, record: Record) -> bool:
    return isinstance(opened, S3Bytes) and opened.record.key == record.key
