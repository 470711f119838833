"""Turn an OSError of a store into a StoreError that says what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from douane.errors import StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def free_bytes(path: str) -> int | None:
    """Bytes that can still be written to the file system that holds `path`; None if that is not known."""
    try:
        status = os.statvfs(path)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def explain(error: OSError, doing: str, path: str, *, needed: int | None = None, side: str = "store") -> StoreError:
    """The StoreError for an OSError.

    `doing` completes "cannot ...", as in "write the image to the store"; `path` is the file or directory; `needed` is
    in bytes; `side` is "store" or "target" (the file a user saves to) and begins the code.
    """
    number = error.errno
    failure = f"cannot {doing}: {path}"
    if number in _FULL:
        return StoreError(_full_sentence(error, failure, path, needed), code=f"{side}-full")
    if number == errno.EROFS:
        return StoreError(
            f"{failure} is on a file system that is mounted read-only; remount it writable, or name another place",
            code=f"{side}-unwritable",
        )
    if number in _DENIED:
        return StoreError(
            f"{failure} does not let user {os.geteuid()} in ({os.strerror(number or 0)}); give that user "
            "read and write permission, or run as the user who owns it",
            code=f"{side}-unwritable",
        )
    if number == errno.ENOENT and side == "target":
        return StoreError(f"{failure} is in a directory that does not exist; make it first", code="target-unwritable")
    if number == errno.ENOENT:
        return StoreError(f"{failure} does not exist", code="not-found")
    if number == errno.EEXIST:
        return StoreError(f"{failure} exists already, and nothing is ever replaced", code="exists")
    if number in _DESCRIPTORS:
        return StoreError(
            f"{failure}: {os.strerror(number or 0)}; raise the limit (ulimit -n, or memory) or import fewer at once",
            code="store-busy",
        )
    if number in (errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
        return StoreError(f"{failure}: {os.strerror(number or 0)}; name another place", code=f"{side}-unwritable")
    if number in (errno.EPIPE, errno.ECONNRESET):
        return StoreError(f"cannot {doing}: the reader of {path} went away before the end", code="target-closed")
    detail = os.strerror(number) if number is not None else str(error)
    return StoreError(
        f"{failure} failed ({detail}); look at the disk and the kernel's log before trying again", code=f"{side}-io"
    )


def _full_sentence(error: OSError, failure: str, path: str, needed: int | None) -> str:
    if error.errno == errno.EFBIG:
        return f"{failure} may not grow that large (a file size limit, ulimit -f or of the file system); raise it"
    existing: str | None = path
    free = None
    while existing and free is None:
        free = free_bytes(existing)
        existing = os.path.dirname(existing) if existing != os.path.dirname(existing) else None
    facts = []
    if needed is not None:
        facts.append(f"{needed} bytes are needed")
    if free is not None:
        facts.append(f"{free} bytes are free")
    detail = f" ({', '.join(facts)})" if facts else ""
    reason = "is over its quota" if error.errno == errno.EDQUOT else "has no space left on its file system"
    return f"{failure} {reason}{detail}; delete images or make room, then try again"


@contextmanager
def explained(doing: str, path: str, *, needed: int | None = None, side: str = "store") -> Iterator[None]:
    """Turn every OSError of the block into a StoreError, by :func:`explain`."""
    try:
        yield
    except OSError as error:
        raise explain(error, doing, path, needed=needed, side=side) from error
