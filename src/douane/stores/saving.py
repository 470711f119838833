"""Save an image to a place that a user named."""

import os
import stat
import uuid

from douane.errors import StoreError
from douane.stores.copying import copy_dense, copy_sparse
from douane.stores.errors import told
from douane.stores.paths import sync_directory, unlink_quietly


def is_special(path: str) -> bool:
    """True when `path` is something else than a file: a pipe, a device. Raises StoreError for a directory."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise StoreError(f"cannot save the image: {path} is a directory; name a file in it", code="target-unwritable")
    return not stat.S_ISREG(mode)


def save_beside(source: int, path: str, size: int) -> None:
    """Copy to a temporary file beside `path`, bring it to the disk, rename. Raises OSError, StoreError."""
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, f".douane-{uuid.uuid4()}.part")
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        try:
            copy_sparse(source, target, size)
            os.fsync(target)
        finally:
            os.close(target)
        os.rename(temporary, path)
    except BaseException:
        unlink_quietly(temporary)
        raise
    sync_directory(directory)


def save_special(source: int, path: str, size: int) -> None:
    """Write in order to what is there already and is no file. Raises StoreError."""
    with told("save the image", path, side="target"):
        target = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        copy_dense(source, target, size, path)
        with told("save the image", path, side="target"):
            if stat.S_ISBLK(os.fstat(target).st_mode):
                os.fsync(target)
    finally:
        os.close(target)
