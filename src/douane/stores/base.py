"""The protocols of a store, and the table of stores. Every method raises StoreError when it fails."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Protocol, cast

from douane.errors import PlanError, StoreError

STORES = {
    "file": "douane.stores.file:FileStore",
    "rbd": "douane.stores.rbd:open_pool",
    "s3": "douane.stores.s3.store:S3Store",
}
"""The class or function of each kind of store, by the scheme of its URL: it is called with the rest of the URL, and
with the options."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "file": (),
    "rbd": ("ceph_conf", "user", "keyring", "chunk_size", "python", "timeout", "processes"),
    "s3": (
        "endpoint", "region", "credentials_file", "ca_file", "path_style", "unsigned_payload", "timeout",
        "connect_timeout", "retries",
    ),
}  # fmt: skip
"""The names of the options of each kind of store."""


def open_store(url: str, options: Mapping[str, object] | None = None) -> "Store":
    """The store at `url`, such as ``file:/var/lib/douane/store``. Raises PlanError for another scheme or an option that
    this kind of store does not have."""
    options = options or {}
    scheme, location = check_options(url, options)
    module, _, name = STORES[scheme].partition(":")
    try:
        kind = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise PlanError(
            f"a store of the kind {scheme!r} needs {error.name}, which this installation does not have: run "
            f"`pip install '.[{scheme}]'` in a checkout of Douane"
        ) from error
    return cast(Store, kind(location, **options))


def check_options(url: str, options: Mapping[str, object]) -> tuple[str, str]:
    """The scheme of the URL and its rest, if there is such a kind of store, and it has these options. Raises
    PlanError."""
    scheme, _, location = url.partition(":")
    if scheme not in STORES:
        raise PlanError(f"there is no store of the kind {scheme!r}; the kinds are: {', '.join(STORES)}")
    for option in options:
        if option not in OPTIONS[scheme]:
            raise PlanError(f"{option!r} is no setting of a store of the kind {scheme!r}")
    return scheme, location


class StoredBytes(Protocol):
    """Bytes of a store, open to be read at any offset, also by several threads at once. Who opened them closes them."""

    @property
    def size(self) -> int:
        """The number of bytes when they were opened."""

    @property
    def fd(self) -> int | None:
        """The fast path: a read-only descriptor of the same bytes for pread(2), if they are a file; -1 once closed."""

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` with the bytes from `offset` on; the number of bytes, which is less only at their end."""

    def close(self) -> None:
        """Read no more. Idempotent; a read that runs in another thread may end with an error, and does no harm."""


class Staged(Protocol):
    """Bytes that are being received, and that nobody can see yet. A `douane.stream.sink.Sink` for the engine."""

    key: str
    """The UUID that they are staged under."""

    @property
    def fd(self) -> int | None:
        """The fast path: a descriptor for pwrite(2) at any offset, by several threads at once; None if there is no
        file. -1 once closed."""

    def write(self, view: memoryview, offset: int) -> None:
        """Write all of `view` at `offset`, behind what was written before; unwritten ranges are holes. The memory of
        `view` is the caller's again on return. Without `fd`, it is called by one thread at a time."""

    def open_read(self) -> int | None:
        """A read-only descriptor of the same bytes, which the caller closes; None if they cannot be read back as a
        file before they are published."""

    def explain(self, error: OSError) -> StoreError:
        """The error to raise instead of `error`, which `finish` raised."""

    def keep(self, size: int) -> None:
        """Make the first `size` bytes durable; more may follow. They are there for `Store.resume` if this process dies.

        An object store ends a segment here.
        """

    def cut(self, size: int) -> None:
        """Forget what is behind the first `size` bytes, which are kept: it takes no space any more. ``damaged`` if
        there are fewer."""

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

    def resume(self, key: str, offset: int, confirm: Callable[[], None] | None = None) -> Staged:
        """Claim unfinished staged bytes that nobody claims, cut them to the first `offset`, and append from there.
        `confirm` is called when they are claimed, and before anything is changed; if it raises, all stays as it is.

        An object store begins another segment, and what lies behind `offset` is no part of the bytes. ``not-found``;
        ``in-use``, also where the former holder is about to let them go; ``damaged`` if there are fewer bytes.
        """

    def staged_keys(self) -> Iterator[str]:
        """The keys of all staged bytes, claimed or abandoned."""

    def is_abandoned(self, key: str) -> bool:
        """True if there are staged bytes that no living process claims."""

    def open_staged(self, key: str) -> StoredBytes:
        """Finished staged bytes, claimed or not. ``not-found``."""

    def link_staged(self, key: str, new_key: str) -> Staged:
        """The finished bytes under `key`, claimed, under `new_key` as well: nothing is copied. ``not-found``,
        ``in-use``; a store that cannot do it says ``store-unwritable``, and the bytes are copied."""

    def discard(self, key: str) -> bool:
        """Delete abandoned staged bytes; False if they are claimed, or not there."""

    def delete_strays(self) -> int:
        """Delete what requests have left that came when their bytes were gone already; how many things. It reads lists
        of the whole store, so it is done rarely."""

    def publish(self, staged: Staged, image_id: str) -> None:
        """Make finished staged bytes the image `image_id`, visible in one step, and close them.

        Never replaces an image (``exists``). May be repeated with the same bytes after a crash, by way of `adopt`.
        """

    def identity(self) -> str:
        """A name that no other store has, wherever this one is reached from; made with the store, and then kept in it.
        A store of the same URL on another machine has another."""

    def expect_images(self) -> None:
        """The store has had images before: from now on, one that looks new is not made anew, but is away
        (``store-away``)."""

    def exists(self, image_id: str) -> bool:
        """True if the store has the image."""

    def open(self, image_id: str) -> StoredBytes:
        """The image. ``not-found``."""

    def location(self, image_id: str) -> str | None:
        """The URL by which services of the cloud can read the image without this service; None if there is none."""

    def open_location(self, url: str, *, images: bool) -> StoredBytes | None:
        """The bytes at `url`, which another service wrote into this store. None if the URL leads to another place.
        ``not-found``, ``in-use`` for bytes that are being received, and for those of an image unless `images` may be
        read."""

    def clones(self, image_id: str) -> int:
        """How many others in the store depend on the image's bytes, such as volumes that are clones of it: while there
        are any, `delete` raises ``image-in-use``. 0 if the image is not there."""

    def size(self, image_id: str) -> int:
        """The length of the image in bytes. ``not-found``."""

    def copy_to(self, image_id: str, fd: int, *, name: str = "the output", sparse: bool = False) -> int:
        """Write the image to `fd`, called `name` in errors; return its length in bytes.

        All bytes are written in order. With `sparse`, `fd` is an empty regular file in which holes may stay holes.
        ``not-found``, ``target-full``, ``target-closed``.
        """

    def delete(self, image_id: str, *, only: StoredBytes | None = None) -> None:
        """Delete the image for good. Idempotent. With `only`, which `open` gave: only that very image, and not another
        that was published since. ``image-in-use``."""

    def image_ids(self) -> Iterator[str]:
        """The ids of all images, in no order."""
