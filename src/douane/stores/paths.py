"""Names and directories: which names are ids, and how a name is made durable."""

import errno
import os
import re
import uuid

from douane.durable import sync_directory
from douane.errors import StoreError

# RFC 9562, section 4, in the one form that is also a file name: lower case, with dashes.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_id(name: str) -> bool:
    """True for a UUID in lower case with dashes: the only names that the store gives to files."""
    return _UUID.fullmatch(name) is not None


def checked_id(name: str) -> str:
    """The name, if it is an id. Raises StoreError (``bad-name``)."""
    if not isinstance(name, str) or not is_id(name):
        raise StoreError(
            f"{name!r:.80} is not an id: expected a UUID in lower case, such as {uuid.UUID(int=0)}",
            code="bad-name",
        )
    return name


def open_existing(path: str, flags: int) -> int | None:
    """A descriptor of the file, or None if it does not exist. Raises OSError."""
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return None


def is_name_of(path: str, fd: int) -> bool:
    """True if `path` still names the open file: it was neither deleted nor replaced. Raises OSError."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def make_directory(path: str) -> None:
    """Make a directory and its parents with mode 0700, and sync each new name: without it all content could be lost."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent) and parent != path:
        make_directory(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError as error:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
    sync_directory(parent)


def unlink_quietly(path: str) -> None:
    """Delete a file if possible; for the clean-up after a failure, which is the error to report."""
    try:
        os.unlink(path)
    except OSError:
        return
