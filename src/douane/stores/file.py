"""Images in a directory: ``staging/`` has the images that are being received, ``images/`` the others."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from douane.durable import sync_directory
from douane.errors import StoreError
from douane.own_folders import register

from . import store_id
from .base import Staged, StoredBytes
from .copying import copy_dense, copy_sparse
from .file_locations import FileLocations
from .os_errors import explain, explained
from .paths import (
    checked_id,
    is_name_of,
    open_existing,
    unlink_quietly,
)
from .staging_file import StagingFile, link_staging, try_lock
from .store_directory import StoreDirectory
from .stored_file import READ, StoredFile, open_image

# O_NONBLOCK: never wait for a FIFO that another program made there.
_STAGE_ATTEMPTS = 64


class FileStore(FileLocations, StoreDirectory):
    """A store in the directory `root`, made on first use (mode 0700; files 0600).

    Safe for several threads and processes at once on a local file system. For the methods see
    :class:`~douane.stores.base.Store`; those here have further notes. Keys and image ids are UUIDs in lower case with
    dashes; other names are refused (``bad-name``), so that a name is never a path.
    """

    def __init__(self, root: Path | str) -> None:
        super().__init__(root)
        register(root)

    def identity(self) -> str:
        """See `Store`: a UUID in the file ``store-id``; a store that has none yet gets it now."""
        self._make_directories()
        return store_id.read_or_make(os.path.abspath(self.root))

    def read_identity(self) -> str | None:
        """The identity, if the store has one; nothing is made."""
        self._require_present()
        return store_id.read(os.path.abspath(self.root))

    # -- staging ---------------------------------------------------------------------------------------------

    def stage(self, key: str) -> StagingFile:
        """Make an empty staged file under `key` and hold it locked until it is closed."""
        path = os.path.join(self._staging, checked_id(key))
        self._make_directories()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with explained("stage the image", path):
            # Between open and flock the file looks abandoned, and a cleaner may delete it. Then it has no
            # name left: make another. A cleaner only holds the lock for an instant.
            for _ in range(_STAGE_ATTEMPTS):
                # The directory keeps others out (0700). A sandboxed plugin has a user id of its own, and may
                # open the image again by the descriptor it was handed (/proc/self/fd), never by this path.
                fd = os.open(path, flags, 0o644)
                os.fchmod(fd, 0o644)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX)
                    if is_name_of(path, fd):
                        return StagingFile(key, fd, path)
                except OSError:
                    os.close(fd)
                    unlink_quietly(path)
                    raise
                os.close(fd)
        raise StoreError(
            f"cannot stage the image: {path} was deleted by another process again and again", code="store-busy"
        )

    def adopt(self, key: str, size: int) -> StagingFile:
        """Take over a finished staged file whose owner is dead, to publish it; it must have `size` bytes."""
        staged = self._claim(key)
        try:
            actual = staged.size()
            if actual != size:
                raise StoreError(
                    f"the staged image {key} has {actual} bytes, not {size}: import it again",
                    code="damaged",
                )
            staged.finish(size)
        except BaseException:
            staged.close()
            raise
        return staged

    def resume(self, key: str, offset: int, confirm: Callable[[], None] | None = None) -> StagingFile:
        """See `Store`: the same file, and its lock."""
        staged = self._claim(key)
        try:
            if confirm is not None:
                confirm()
            staged.cut(offset)
        except BaseException:
            staged.close()
            raise
        return staged

    def _claim(self, key: str) -> StagingFile:
        path = os.path.join(self._staging, checked_id(key))
        self._require_present()
        with explained("take over the staged image", path):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with explained("take over the staged image", path):
                unclaimed = try_lock(fd)
                exists = is_name_of(path, fd)
            if not unclaimed:
                raise StoreError(f"the staged image {key} belongs to an import that is running", code="in-use")
            if not exists:
                raise StoreError(f"the staged image {key} was deleted by another process", code="not-found")
        except BaseException:
            os.close(fd)
            raise
        return StagingFile(key, fd, path)

    def staged_keys(self) -> Iterator[str]:
        """The keys of all staged files; files with other names are ignored."""
        return self._ids(self._staging)

    def delete_strays(self) -> int:
        """0: a system call is not late."""
        return 0

    def is_abandoned(self, key: str) -> bool:
        """True if a staged file exists and no process holds its lock: its import died."""
        path = os.path.join(self._staging, checked_id(key))
        with explained("look at the staged image", path):
            fd = open_existing(path, READ)
        if fd is None:
            return False
        try:
            with explained("look at the staged image", path):
                return try_lock(fd, shared=True) and is_name_of(path, fd)
        finally:
            os.close(fd)

    def open_staged(self, key: str) -> StoredFile:
        """The staged file; its descriptor holds no lock."""
        path = os.path.join(self._staging, checked_id(key))
        self._require_present()
        with explained("read the staged image", path):
            return StoredFile(os.open(path, READ), path)

    def link_staged(self, key: str, new_key: str) -> StagingFile:
        """See `Store`: the same file, by link(2), and its lock."""
        path, new_path = (os.path.join(self._staging, checked_id(name)) for name in (key, new_key))
        return link_staging(new_key, path, new_path)

    def discard(self, key: str) -> bool:
        """Delete a staged file whose owner is dead; False if its owner lives or another process deleted it."""
        path = os.path.join(self._staging, checked_id(key))
        with explained("delete the staged image", path):
            # Opened for writing: over NFS an exclusive flock needs it (flock(2), "NFS details").
            fd = open_existing(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if fd is None:
            return False
        try:
            with explained("delete the staged image", path):
                if not try_lock(fd) or not is_name_of(path, fd):
                    return False
                os.unlink(path)
                return True
        finally:
            os.close(fd)

    # -- publishing ------------------------------------------------------------------------------------------

    def publish(self, staged: Staged, image_id: str) -> None:
        """Make a finished staged file the image `image_id`, visible as a whole in one step, and close it.

        The step is link(2), not rename(2): it cannot replace anything, and the new name is synced before the old name
        is removed, so there is no instant, also on file systems that log the two directories apart, in which neither
        exists. On failure the image does not exist, and the staged file is still the caller's.
        """
        path = os.path.join(self._images, checked_id(image_id))
        if not isinstance(staged, StagingFile):
            raise TypeError("a staged image is published by the store that staged it")
        if not staged.finished:
            raise StoreError(
                f"the staged image {staged.key} is not finished, so it is not published", code="not-finished"
            )
        self._make_directories()
        if staged.fd < 0:
            raise StoreError(f"the staged image {staged.key} was published or discarded already", code="not-found")
        self._link(staged, path)
        try:
            if not is_name_of(path, staged.fd):
                raise StoreError(
                    f"cannot publish the image: {staged.path} was replaced by another file", code="damaged"
                )
            sync_directory(self._images)
        except (OSError, StoreError) as error:
            unlink_quietly(path)
            if isinstance(error, StoreError):
                raise
            raise explain(error, "publish the image", path) from error
        # From here the image exists for good. A staged name that stays is deleted by the next clean-up.
        try:
            os.unlink(staged.path)
            sync_directory(self._staging)
        except OSError:
            pass
        finally:
            staged.close()

    def _link(self, staged: StagingFile, path: str) -> None:
        try:
            os.link(staged.path, path, follow_symlinks=False)
        except FileExistsError as error:
            with explained("publish the image", path):
                if not is_name_of(path, staged.fd):
                    raise explain(error, "publish the image", path) from error
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise StoreError(
                    f"cannot publish the image: the file system of {self.root} has no hard links; put the "
                    "store on one that has (ext4, XFS, btrfs, ZFS)",
                    code="store-unwritable",
                ) from error
            raise explain(error, "publish the image", path) from error

    # -- images ----------------------------------------------------------------------------------------------

    def open(self, image_id: str) -> StoredFile:
        """The image's file. Raises StoreError (``not-found``)."""
        path = os.path.join(self._images, checked_id(image_id))
        try:
            return open_image(path)
        except FileNotFoundError as error:
            self._require_present()
            raise StoreError(f"the store {self.root} has no image {image_id}", code="not-found") from error

    def clones(self, image_id: str) -> int:
        """0: whoever copied the file, or shares its blocks, has bytes of its own."""
        return 0

    def size(self, image_id: str) -> int:
        """The image's length in bytes, holes included."""
        with contextlib.closing(self.open(image_id)) as image:
            return image.size

    def exists(self, image_id: str) -> bool:
        """True if the store has the image."""
        path = os.path.join(self._images, checked_id(image_id))
        try:
            os.lstat(path)
        except FileNotFoundError:
            self._require_present()
            return False
        except OSError as error:
            raise explain(error, "look for the image", path) from error
        return True

    def copy_to(self, image_id: str, fd: int, *, name: str = "the output", sparse: bool = False) -> int:
        """Write the image to `fd`; with `sparse`, the two files share blocks where the file system can."""
        with contextlib.closing(self.open(image_id)) as image:
            if sparse:
                with explained("save the image", name, needed=image.size, side="target"):
                    copy_sparse(image.fd, fd, image.size)
            else:
                copy_dense(image.fd, fd, image.size, name)
            return image.size

    def delete(self, image_id: str, *, only: StoredBytes | None = None) -> None:
        """Delete the image's bytes for good (fsync of the directory). A process that has it open can read on."""
        path = os.path.join(self._images, checked_id(image_id))
        with explained("delete the image", path):
            if only is not None and (only.fd is None or not is_name_of(path, only.fd)):
                return
            try:
                os.unlink(path)
            except FileNotFoundError:
                self._require_present()
                if not os.path.isdir(self._images):
                    return
            # Also if it was gone: the process that unlinked it may have died before its fsync.
            sync_directory(self._images)

    def image_ids(self) -> Iterator[str]:
        """The ids of all images, in no order; files with other names are ignored."""
        return self._ids(self._images)
