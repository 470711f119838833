"""Images in a directory: ``staging/`` holds what is being received, ``images/`` what was let in."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from douane.errors import StoreError
from douane.stores.copying import copy_dense
from douane.stores.errors import explain, free_bytes, told
from douane.stores.paths import (
    checked,
    is_id,
    leads_to,
    make_directory,
    open_if_there,
    sync_directory,
    unlink_quietly,
)
from douane.stores.saving import is_special, save_beside, save_special
from douane.stores.staged import Staged, try_lock

# O_NONBLOCK: never wait on a FIFO that somebody put there.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LOST_RACES = 64


class FileStore:
    """A store in the directory `root`, made on first use (mode 0700; files 0600).

    Safe for several threads and processes at once on a local file system. Every failure is a
    :class:`~douane.stores.errors.StoreError`. Keys and image ids are UUIDs in lower case with dashes;
    anything else is refused (``bad-name``), so that a name is never a path.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._staging = os.path.join(os.path.abspath(root), "staging")
        self._images = os.path.join(os.path.abspath(root), "images")

    # -- staging ---------------------------------------------------------------------------------------------

    def stage(self, key: str) -> Staged:
        """Make an empty staged file under `key` and hold it locked until it is closed.

        Raises StoreError: ``exists`` when the key is taken, ``store-full``, ``store-unwritable``, ….
        """
        path = os.path.join(self._staging, checked(key))
        self._make()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with told("stage the image", path):
            # Between open and flock the file looks abandoned, and a cleaner may delete it. Then it has no
            # name left: make another. A cleaner only holds the lock for an instant.
            for _ in range(_LOST_RACES):
                # The directory is what keeps others out (0700). A caged plugin has a user id of its own, and may
                # open the image again by the descriptor it was handed (/proc/self/fd), never by this path.
                fd = os.open(path, flags, 0o644)
                os.fchmod(fd, 0o644)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX)
                    if leads_to(path, fd):
                        return Staged(key, fd, path)
                except OSError:
                    os.close(fd)
                    unlink_quietly(path)
                    raise
                os.close(fd)
        raise StoreError(
            f"cannot stage the image: {path} was deleted by another process again and again", code="store-busy"
        )

    def adopt(self, key: str, size: int) -> Staged:
        """Take over a finished staged file whose owner is dead, to publish it; `size` is what it must have,
        in bytes.

        Raises StoreError: ``not-found``, ``in-use`` when its owner lives, ``damaged`` when its size is
        another.
        """
        path = os.path.join(self._staging, checked(key))
        with told("take over the staged image", path):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        staged = Staged(key, fd, path)
        try:
            with told("take over the staged image", path):
                free = try_lock(fd)
                there = leads_to(path, fd)
                found = os.fstat(fd).st_size
            if not free:
                raise StoreError(f"the staged image {key} belongs to an import that is running", code="in-use")
            if not there:
                raise StoreError(f"the staged image {key} was deleted by another process", code="not-found")
            if found != size:
                raise StoreError(
                    f"the staged image {key} has {found} bytes, not {size}: import it again",
                    code="damaged",
                )
            staged.finish(size)
        except BaseException:
            staged.close()
            raise
        return staged

    def staged_keys(self) -> Iterator[str]:
        """The keys of all staged files, living or abandoned; files with other names are not ours."""
        return self._names(self._staging)

    def abandoned(self, key: str) -> bool:
        """True when a staged file is there and nobody holds its lock: its import died."""
        path = os.path.join(self._staging, checked(key))
        with told("look at the staged image", path):
            fd = open_if_there(path, _READ)
        if fd is None:
            return False
        try:
            with told("look at the staged image", path):
                return try_lock(fd, shared=True) and leads_to(path, fd)
        finally:
            os.close(fd)

    def discard(self, key: str) -> bool:
        """Delete a staged file whose owner is dead; False if its owner lives or another deleted it."""
        path = os.path.join(self._staging, checked(key))
        with told("delete the staged image", path):
            # Opened for writing: over NFS an exclusive flock needs it (flock(2), "NFS details").
            fd = open_if_there(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if fd is None:
            return False
        try:
            with told("delete the staged image", path):
                if not try_lock(fd) or not leads_to(path, fd):
                    return False
                os.unlink(path)
                return True
        finally:
            os.close(fd)

    # -- publishing ------------------------------------------------------------------------------------------

    def publish(self, staged: Staged, image_id: str) -> None:
        """Make a finished staged file the image `image_id`, visible whole in one step, and close it.

        An image that is there is never replaced (``exists``). May be repeated after a crash with the same
        file (:meth:`adopt`), and then finishes what was begun. Raises StoreError; then the image is not
        there.

        The step is link(2), not rename(2): it cannot replace anything, and the new name is brought to the
        disk before the old one is taken away, so there is no instant, also on file systems that log the two
        directories apart, in which neither is there.
        """
        path = os.path.join(self._images, checked(image_id))
        if not staged.finished:
            raise StoreError(
                f"the staged image {staged.key} is not finished, so it is not published", code="not-finished"
            )
        self._make()
        if staged.fd < 0:
            raise StoreError(f"the staged image {staged.key} was published or discarded already", code="not-found")
        try:
            os.link(staged.path, path, follow_symlinks=False)
        except FileExistsError as error:
            with told("publish the image", path):
                if not leads_to(path, staged.fd):
                    raise explain(error, "publish the image", path) from error
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise StoreError(
                    f"cannot publish the image: the file system of {self.root} has no hard links; put the "
                    "store on one that has (ext4, XFS, btrfs, ZFS)",
                    code="store-unwritable",
                ) from error
            raise explain(error, "publish the image", path) from error
        try:
            if not leads_to(path, staged.fd):
                raise StoreError(
                    f"cannot publish the image: {staged.path} was replaced by another file", code="damaged"
                )
            sync_directory(self._images)
        except (OSError, StoreError) as error:
            unlink_quietly(path)
            if isinstance(error, StoreError):
                raise
            raise explain(error, "publish the image", path) from error
        # From here the image is there for good. A staged name that stays is deleted by the next clean-up.
        try:
            os.unlink(staged.path)
            sync_directory(self._staging)
        except OSError:
            pass
        finally:
            staged.close()

    # -- images ----------------------------------------------------------------------------------------------

    def open(self, image_id: str) -> int:
        """A read-only descriptor of the image; the caller closes it. Raises StoreError (``not-found``)."""
        path = os.path.join(self._images, checked(image_id))
        try:
            fd = os.open(path, _READ)
        except FileNotFoundError as error:
            raise StoreError(f"the store {self.root} holds no image {image_id}", code="not-found") from error
        except PermissionError as error:
            raise StoreError(
                f"cannot read the image: {path} does not let user {os.geteuid()} in; run as the user who "
                "owns the store",
                code="store-unreadable",
            ) from error
        except OSError as error:
            raise explain(error, "read the image", path) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StoreError(f"cannot read the image: {path} is not a file; something else wrote there", code="damaged")
        return fd

    def size(self, image_id: str) -> int:
        """The image's length in bytes, holes included. Raises StoreError (``not-found``)."""
        fd = self.open(image_id)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def exists(self, image_id: str) -> bool:
        """True when the store holds the image. Raises StoreError when that cannot be told."""
        path = os.path.join(self._images, checked(image_id))
        try:
            os.lstat(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explain(error, "look for the image", path) from error
        return True

    def delete(self, image_id: str) -> None:
        """Delete the image's bytes, for good (fsync of the directory); an image that is not there is fine.

        Who has it open reads on. Raises StoreError.
        """
        path = os.path.join(self._images, checked(image_id))
        with told("delete the image", path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                if not os.path.isdir(self._images):
                    return
            # Also when it was gone: the process that unlinked it may have died before its fsync.
            sync_directory(self._images)

    def image_ids(self) -> Iterator[str]:
        """The ids of all images in the store, in no order; files with other names are not ours."""
        return self._names(self._images)

    def free(self) -> int | None:
        """Bytes that may still be written to the store's file system; None if it cannot be told."""
        path = os.path.abspath(self.root)
        while not os.path.exists(path) and path != os.path.dirname(path):
            path = os.path.dirname(path)
        return free_bytes(path)

    # -- out of the store ------------------------------------------------------------------------------------

    def save(self, image_id: str, target: Path) -> int:
        """Copy the image to the file `target`, all of it or nothing; holes stay holes. The answer is its size
        in bytes.

        A temporary file beside the target is written, brought to the disk and renamed, so a file that was
        there is replaced whole (one behind a symbolic link too). What is no regular file (a pipe, a device)
        is written in order instead. The new file gets the mode that the umask leaves, as any file a user
        makes. Raises StoreError: ``not-found``, ``target-full``, ``target-unwritable``, ….
        """
        path = os.path.realpath(target)
        source = self.open(image_id)
        try:
            size = os.fstat(source).st_size
            with told("save the image", path, side="target"):
                special = is_special(path)
            if special:
                save_special(source, path, size)
            else:
                with told("save the image", path, needed=size, side="target"):
                    save_beside(source, path, size)
            return size
        finally:
            os.close(source)

    def copy_to(self, image_id: str, fd: int) -> int:
        """Write the image to the descriptor `fd` in order (a pipe gets the zeros of the holes); answers its
        size.

        Raises StoreError; ``target-closed`` when the reader of a pipe went away.
        """
        source = self.open(image_id)
        try:
            size = os.fstat(source).st_size
            copy_dense(source, fd, size, "the output")
            return size
        finally:
            os.close(source)

    # -- within ----------------------------------------------------------------------------------------------

    def _make(self) -> None:
        for path in (self._staging, self._images):
            if not os.path.isdir(path):
                with told("make the store's directory", path):
                    make_directory(path)

    def _names(self, directory: str) -> Iterator[str]:
        with told("list the store", directory):
            try:
                names = os.listdir(directory)
            except FileNotFoundError:
                return
        yield from (name for name in names if is_id(name))
