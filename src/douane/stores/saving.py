"""Save an image of any store to a place that a user names."""

import os
import stat
import uuid
from pathlib import Path

from douane.durable import sync_directory
from douane.errors import StoreError

from .base import Store
from .os_errors import explained
from .paths import unlink_quietly
from .shared_folders import check_owner, resolve


def save(store: Store, image_id: str, target: Path) -> int:
    """Copy the image to the file `target`, all of it or nothing; return its size in bytes. Holes stay holes.

    A temporary file beside the target is written, synced and renamed, so an existing file is replaced as a whole (also
    behind a symbolic link). A pipe or a device is written in order instead. A new file gets the mode that the umask
    leaves, as any file of a user; a file that is replaced passes on its mode, and its owner where that is possible.
    Whatever another user left there in a folder such as /tmp is refused. Raises StoreError: ``not-found``,
    ``target-full``, ``target-unwritable``, ….
    """
    size = store.size(image_id)
    with explained("save the image", str(target), side="target"):
        path = resolve(os.path.abspath(target))
        special = _is_special(path)
    if special:
        return _save_special(store, image_id, path)
    with explained("save the image", path, needed=size, side="target"):
        return _save_beside(store, image_id, path)


def _is_special(path: str) -> bool:
    """True if `path` is a pipe, a socket or a device. Raises StoreError for a directory."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(status.st_mode):
        raise StoreError(f"cannot save the image: {path} is a directory; name a file in it", code="target-unwritable")
    check_owner(path, status, os.path.dirname(path))
    return not stat.S_ISREG(status.st_mode)


def _save_beside(store: Store, image_id: str, path: str) -> int:
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, f".douane-{uuid.uuid4()}.part")
    replaced = _status(path)
    mode = 0o666 if replaced is None else 0o600
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            if replaced is not None:
                _pass_on(replaced, target)
            size = store.copy_to(image_id, target, name=path, sparse=True)
            os.fsync(target)
        finally:
            os.close(target)
        os.rename(temporary, path)
    except BaseException:
        unlink_quietly(temporary)
        raise
    sync_directory(directory)
    return size


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _pass_on(replaced: os.stat_result, target: int) -> None:
    """Give the new file the owner, the group and the mode of the file that it replaces, as writing to that would."""
    mode = stat.S_IMODE(replaced.st_mode) & 0o777
    created = os.fstat(target)
    if (created.st_uid, created.st_gid) != (replaced.st_uid, replaced.st_gid):
        try:
            os.fchown(target, replaced.st_uid, replaced.st_gid)
        except PermissionError:
            mode &= 0o700  # the bits were meant for another group
    os.fchmod(target, mode)


def _save_special(store: Store, image_id: str, path: str) -> int:
    with explained("save the image", path, side="target"):
        # Without links since `resolve`: one that is there now was put there meanwhile.
        target = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW)
    try:
        if stat.S_ISREG(os.fstat(target).st_mode):
            raise StoreError(
                f"cannot save the image: {path} was a pipe or a device, and somebody made it a file meanwhile; "
                "name a place in a folder of your own",
                code="target-unwritable",
            )
        size = store.copy_to(image_id, target, name=path)
        with explained("save the image", path, side="target"):
            if stat.S_ISBLK(os.fstat(target).st_mode):
                os.fsync(target)
        return size
    finally:
        os.close(target)
