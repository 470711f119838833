"""A store in a pool of Ceph."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote

from douane.errors import StoreError
from douane.own_folders import register_secret
from douane.stores.base import Staged
from douane.stores.copying import copy_stored
from douane.stores.paths import checked_id, is_id

from . import steps
from .errors import explain
from .options import RbdOptions
from .pool import Helpers
from .process import Helper, HelperError
from .reading import RbdBytes
from .staging import PREFIX, RbdStaging


class RbdStore:
    """A store in the pool `options.pool`. For the methods see :class:`~douane.stores.base.Store`.

    An image is named by its id and has the protected snapshot ``snap``, which is what is read: whatever a late writer
    does to the image itself, the snapshot stays as it was published.
    """

    def __init__(self, options: RbdOptions) -> None:
        self._options = options
        # The second is where Ceph looks if nothing says otherwise.
        register_secret(options.keyring or f"/etc/ceph/ceph.client.{options.user}.keyring")
        self._helpers = Helpers(options)
        self._fsid: str | None = None

    # -- staging ---------------------------------------------------------------------------------------------

    def stage(self, key: str) -> RbdStaging:
        """See `Store`."""
        name = PREFIX + checked_id(key)
        with self._lent(f"stage {name}") as helper:
            helper.call("create", name=name, order=self._options.order)
        return RbdStaging(self._helpers, self._options, key, helper, 0)

    def adopt(self, key: str, size: int) -> RbdStaging:
        """See `Store`."""
        helper, actual = self._claim(key)
        staged = RbdStaging(self._helpers, self._options, key, helper, actual)
        if actual != size:
            staged.close()
            raise StoreError(f"the staged image {key} has {actual} bytes, not {size}: import it again", code="damaged")
        staged.finished = True
        return staged

    def resume(self, key: str, offset: int, confirm: Callable[[], None] | None = None) -> RbdStaging:
        """See `Store`."""
        helper, actual = self._claim(key)
        staged = RbdStaging(self._helpers, self._options, key, helper, actual)
        try:
            if confirm is not None:
                confirm()
            if actual < offset:
                raise StoreError(f"the staged image {key} has {actual} bytes, and {offset} were kept", code="damaged")
            staged.keep(offset)
        except BaseException:
            staged.close()
            raise
        return staged

    def _claim(self, key: str) -> tuple[Helper, int]:
        name = PREFIX + checked_id(key)
        with self._lent(f"take over {name}") as helper:
            opened = helper.call("open", name=name, snap=None, read_only=False)
            if opened["watchers"] > 1:  # the first is this one
                helper.call("close")
                raise StoreError(f"the staged image {key} belongs to an import that is running", code="in-use")
        return helper, int(opened["size"])

    def staged_keys(self) -> Iterator[str]:
        """See `Store`: images with other names are ignored."""
        names = (name.removeprefix(PREFIX) for name in self._names() if name.startswith(PREFIX))
        return filter(is_id, names)

    def delete_strays(self) -> int:
        """0: whoever writes late has the image open, and what is open is not deleted."""
        return 0

    def is_abandoned(self, key: str) -> bool:
        """See `Store`."""
        with self._helpers.borrowed("look at the staged image") as helper:
            return self._watchers(helper, PREFIX + checked_id(key)) == 0

    def open_staged(self, key: str) -> RbdBytes:
        """See `Store`."""
        return RbdBytes(self._helpers, self._options, PREFIX + checked_id(key), None)

    def link_staged(self, key: str, new_key: str) -> RbdStaging:
        """See `Store`."""
        checked_id(new_key)
        raise StoreError(
            f"the pool {self._options.pool} has no second name for {checked_id(key)}", code="store-unwritable"
        )

    def discard(self, key: str) -> bool:
        """See `Store`."""
        name = PREFIX + checked_id(key)
        with self._helpers.borrowed(f"delete {name}", writes=True) as helper:
            if self._watchers(helper, name) != 0:
                return False
            try:
                return steps.delete(helper, name, self._options)
            except HelperError as error:
                if error.number != errno.EBUSY:
                    raise
                return False  # claimed at this moment

    def _watchers(self, helper: Helper, name: str) -> int | None:
        """The clients that have the image open for writing; None if it is not there."""
        try:
            watchers = int(helper.call("open", name=name, snap=None, read_only=True)["watchers"])
        except HelperError as error:
            if error.number == errno.ENOENT:
                return None
            raise
        helper.call("close")
        return watchers

    # -- publishing ------------------------------------------------------------------------------------------

    def publish(self, staged: Staged, image_id: str) -> None:
        """See `Store`. On failure the image does not exist, and the staged bytes are still the caller's."""
        if not isinstance(staged, RbdStaging):
            raise TypeError("a staged image is published by the store that staged it")
        checked_id(image_id)
        if not staged.finished:
            raise StoreError(
                f"the staged image {staged.key} is not finished, so it is not published", code="not-finished"
            )
        try:
            steps.publish(staged.helper(), staged.name, image_id)
        except HelperError as error:
            raise explain(error, f"publish the image {image_id}", self._options, self._helpers.is_full) from error
        staged.close()

    # -- images ----------------------------------------------------------------------------------------------

    def identity(self) -> str:
        """See `Store`: the id of the cluster, and the name of the pool."""
        if self._fsid is None:
            with self._helpers.borrowed("ask for the cluster's id") as helper:
                self._fsid = helper.fsid
        return f"{self._fsid}/{self._options.pool}"

    def expect_images(self) -> None:
        """See `Store`: a pool is never made, so that none looks new."""

    def free(self) -> int | None:
        """Bytes that can still be written, as far as the monitors know."""
        return self._helpers.room()[0]

    def exists(self, image_id: str) -> bool:
        """See `Store`."""
        with self._helpers.borrowed(f"look for the image {image_id}") as helper:
            try:
                # An image without it was half deleted.
                return steps.SNAP in helper.call("snapshots", name=checked_id(image_id))
            except HelperError as error:
                if error.number == errno.ENOENT:
                    return False
                raise

    def open(self, image_id: str) -> RbdBytes:
        """See `Store`."""
        try:
            return RbdBytes(self._helpers, self._options, checked_id(image_id), steps.SNAP)
        except StoreError as error:
            if error.code != "not-found":
                raise
            raise StoreError(f"the pool {self._options.pool} has no image {image_id}", code="not-found") from error

    def size(self, image_id: str) -> int:
        """See `Store`."""
        name = checked_id(image_id)
        with self._helpers.borrowed(f"read the size of the image {image_id}") as helper:
            size = int(helper.call("open", name=name, snap=steps.SNAP, read_only=True)["size"])
            helper.call("close")
        return size

    def clones(self, image_id: str) -> int:
        """See `Store`."""
        with self._helpers.borrowed(f"ask for the clones of {image_id}") as helper:
            return steps.clones(helper, checked_id(image_id))

    def location(self, image_id: str) -> str:
        """The URL that Nova and Cinder clone."""
        fsid, _, pool = self.identity().partition("/")
        return f"rbd://{fsid}/{quote(pool, safe='')}/{checked_id(image_id)}/{steps.SNAP}"

    def open_location(self, url: str, *, images: bool) -> RbdBytes | None:
        """See `Store`: the snapshot of an image in this pool."""
        parts = url.removeprefix("rbd://").split("/")
        if not url.startswith("rbd://") or len(parts) != 4:
            return None
        fsid, pool, name, snap = map(unquote, parts)
        if f"{fsid}/{pool}" != self.identity():
            return None
        if name.startswith(PREFIX) or (is_id(name) and not images):
            raise StoreError(f"cannot read the location: {name} has bytes of another image", code="in-use")
        return RbdBytes(self._helpers, self._options, name, snap)

    def copy_to(self, image_id: str, fd: int, *, name: str = "the output", sparse: bool = False) -> int:
        """See `Store`."""
        return copy_stored(self.open(image_id), fd, name, sparse=sparse)

    def delete(self, image_id: str, *, only: object = None) -> None:
        """See `Store`. An image with clones stays (``image-in-use``)."""
        name = checked_id(image_id)
        with self._helpers.borrowed(f"delete the image {image_id}", writes=True) as helper:
            if only is not None:
                assert isinstance(only, RbdBytes), "what `open` gave"
                try:
                    current = helper.call("open", name=name, snap=None, read_only=True)["id"]
                except HelperError as error:
                    if error.number == errno.ENOENT:
                        return
                    raise
                helper.call("close")
                if current != only.image:
                    return
            steps.delete(helper, name, self._options)

    def image_ids(self) -> Iterator[str]:
        """See `Store`: images with other names are ignored."""
        return filter(is_id, self._names())

    def _names(self) -> list[str]:
        with self._helpers.borrowed("list the images") as helper:
            return list(helper.names())

    @contextlib.contextmanager
    def _lent(self, doing: str) -> Iterator[Helper]:
        """A helper that stays with the caller, unless the block fails."""
        helper = self._helpers.borrow()
        try:
            yield helper
        except BaseException as error:
            helper.is_broken = helper.is_broken or not isinstance(error, HelperError | StoreError)
            self._helpers.give_back(helper)
            if isinstance(error, HelperError):
                raise explain(error, doing, self._options, self._helpers.is_full) from error
            raise
