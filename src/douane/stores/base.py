"""The protocols of a store, and the table of stores. Every method raises StoreError when it fails."""

from collections.abc import Iterator
from importlib import import_module
from typing import Protocol, cast

from douane.errors import PlanError, StoreError

STORES = {
    "file": "douane.stores.file:FileStore",
}
"""The class of each kind of store, by the scheme of its URL. The class is called with the rest of the URL."""


def open_store(url: str) -> "Store":
    """The store at `url`, such as ``file:/var/lib/douane/store``. Raises PlanError for another scheme."""
    scheme, _, location = url.partition(":")
    if scheme not in STORES:
        raise PlanError(f"there is no store of the kind {scheme!r}; the kinds are: {', '.join(STORES)}")
    module, _, name = STORES[scheme].partition(":")
    return cast(Store, getattr(import_module(module), name)(location))


class Staged(Protocol):
    """Bytes that are being received, and that nobody can see yet. A `douane.stream.sink.Sink` for the engine."""

    key: str
    """The UUID that they are staged under."""

    @property
    def fd(self) -> int:
        """A descriptor to write to at any offset (pwrite(2)); unwritten ranges are holes."""

    def open_read(self) -> int:
        """A read-only descriptor of the same bytes; the caller closes it."""

    def explain(self, error: OSError) -> StoreError:
        """The error to raise instead of `error`, which a write to `fd` raised."""

    def keep(self, size: int) -> None:
        """Make the first `size` bytes durable; more may follow. They are there for `Store.resume` if this process dies.

        An object store ends a segment here.
        """

    def finish(self, size: int) -> None:
        """All is written: set the length to `size` bytes and make the bytes durable."""

    def discard(self) -> None:
        """Delete the bytes, unless they were published. Idempotent."""

    def close(self) -> None:
        """Release the claim without deleting the bytes. Idempotent."""


class Store(Protocol):
    """A place for images. Keys and image ids are UUIDs in lower case with dashes."""

    def stage(self, key: str) -> Staged:
        """New staged bytes, claimed by this process until they are closed or the process dies. ``exists``."""

    def adopt(self, key: str, size: int) -> Staged:
        """Claim finished staged bytes whose owner is dead, to publish them. ``not-found``, ``in-use``, ``damaged``."""

    def resume(self, key: str, offset: int) -> Staged:
        """Claim unfinished staged bytes that nobody claims, cut them to the first `offset`, and append from there.

        An object store begins another segment, and what lies behind `offset` is no part of the bytes. ``not-found``;
        ``in-use``, also where the former holder is about to let them go; ``damaged`` if there are fewer bytes.
        """

    def staged_keys(self) -> Iterator[str]:
        """The keys of all staged bytes, claimed or abandoned."""

    def is_abandoned(self, key: str) -> bool:
        """True if there are staged bytes that no living process claims."""

    def open_staged(self, key: str) -> int:
        """A read-only descriptor of staged bytes, claimed or not; the caller closes it. ``not-found``."""

    def link_staged(self, key: str, new_key: str) -> Staged:
        """The finished bytes under `key`, claimed, under `new_key` as well: nothing is copied. ``not-found``,
        ``in-use``; a store that cannot do it says ``store-unwritable``, and the bytes are copied."""

    def discard(self, key: str) -> bool:
        """Delete abandoned staged bytes; False if they are claimed, or not there."""

    def publish(self, staged: Staged, image_id: str) -> None:
        """Make finished staged bytes the image `image_id`, visible in one step, and close them.

        Never replaces an image (``exists``). May be repeated with the same bytes after a crash, by way of `adopt`.
        """

    def expect_images(self) -> None:
        """The store has had images before: from now on, one that looks new is not made anew, but is away
        (``store-away``)."""

    def exists(self, image_id: str) -> bool:
        """True if the store has the image."""

    def open(self, image_id: str) -> int:
        """A read-only descriptor of the image, for pread(2); the caller closes it. ``not-found``."""

    def location(self, image_id: str) -> str | None:
        """The URL by which services of the cloud can read the image without this service; None if there is none."""

    def open_location(self, url: str, *, images: bool) -> int | None:
        """A read-only descriptor of the bytes at `url`, which another service wrote into this store; the caller closes
        it. None if the URL leads to another place. ``not-found``, ``in-use`` for bytes that are being received, and for
        those of an image unless `images` may be read."""

    def size(self, image_id: str) -> int:
        """The length of the image in bytes. ``not-found``."""

    def copy_to(self, image_id: str, fd: int, *, name: str = "the output", sparse: bool = False) -> int:
        """Write the image to `fd`, called `name` in errors; return its length in bytes.

        All bytes are written in order. With `sparse`, `fd` is an empty regular file in which holes may stay holes.
        ``not-found``, ``target-full``, ``target-closed``.
        """

    def delete(self, image_id: str, *, only: int | None = None) -> None:
        """Delete the image for good. Idempotent. With `only`, a descriptor that `open` gave: only that very image, and
        not another that was published since."""

    def image_ids(self) -> Iterator[str]:
        """The ids of all images, in no order."""
