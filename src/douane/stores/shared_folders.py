"""Paths through folders that every user may write to, such as /tmp: nobody follows a link that another user left there.

Linux has the same rule (sysctl fs.protected_symlinks), for the last part of a path, and where it is switched on.
"""

import errno
import os
import stat

from douane.errors import StoreError

_MAX_LINKS = 40
"""Links of one path, as in Linux (path_resolution(7))."""


def resolve(path: str) -> str:
    """The absolute `path` without links. Raises OSError for too many links, StoreError for another user's link."""
    rest, resolved, links = path.split("/")[::-1], "/", 0
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            resolved = os.path.dirname(resolved)
            continue
        path = os.path.join(resolved, part)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            resolved = path
            continue
        if not stat.S_ISLNK(status.st_mode):
            resolved = path
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        check_owner(path, status, resolved)
        target = os.readlink(path)
        if target.startswith("/"):
            resolved = "/"
        rest += target.split("/")[::-1]
    return resolved


def check_owner(path: str, status: os.stat_result, directory: str) -> None:
    """Raise StoreError if `path`, in a folder that all may write to, belongs to neither this user nor the folder's."""
    folder = os.stat(directory)
    is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if is_shared and status.st_uid not in (os.geteuid(), folder.st_uid):
        raise StoreError(
            f"cannot save the image: {path} belongs to another user, in a folder that every user may write to; "
            "name another file",
            code="target-unwritable",
        )
