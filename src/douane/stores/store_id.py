"""The identity of a file store: a UUID in the file ``store-id`` of its directory, made once and never replaced."""

import os
import uuid

from douane.durable import sync_directory
from douane.errors import StoreError

from .os_errors import explained
from .paths import is_id, unlink_quietly

NAME = "store-id"


def read_or_make(root: str) -> str:
    """The identity of the store in the directory `root`, which exists. Raises StoreError."""
    path = os.path.join(root, NAME)
    identity = _read(path)
    if identity is None:
        with explained("give the store its identity", path):
            _make(root, path)
        identity = _read(path)
    if identity is None or not is_id(identity):
        raise StoreError(
            f"the file {path} is not the identity of a store: it was changed from outside; bring it back from a "
            "backup, or delete it if no other machine uses this store",
            code="damaged",
        )
    return identity


def read(root: str) -> str | None:
    """The identity of the store in the directory `root`; None if it has none. Nothing is made. Raises StoreError."""
    return _read(os.path.join(root, NAME))


def _read(path: str) -> str | None:
    with explained("read the store's identity", path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            return os.read(fd, 64).decode("ascii", "replace").strip()
        finally:
            os.close(fd)


def _make(root: str, path: str) -> None:
    """Written beside it, and linked: of several processes that begin at once, one makes the name, with all its bytes.

    Raises OSError.
    """
    temporary = os.path.join(root, f".{NAME}-{uuid.uuid4()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(f"{uuid.uuid4()}\n")
            file.flush()
            os.fsync(fd)
        try:
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError:
            return
        sync_directory(root)
    finally:
        unlink_quietly(temporary)
