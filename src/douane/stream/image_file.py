"""The files that an image is read from: which kinds have an end."""

from __future__ import annotations

import os
import stat

from douane.errors import PlanError

_NULL = os.makedev(1, 3)
"""/dev/null (null(4)), which has an end at once."""


def open_image(path: str) -> int:
    """A descriptor of the image at `path`. Raises PlanError, also for what is no image or has no end."""
    try:
        # Without O_NONBLOCK, open(2) would wait for a FIFO's writer, and no deadline counts here (fifo(7)).
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        os.set_blocking(fd, True)
    except OSError as error:
        raise PlanError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        require_end(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def require_end(fd: int, name: str) -> os.stat_result:
    """The status of an image's file. Raises PlanError for a directory, and for a device that can be read for ever.

    A regular file and a block device have a size. A pipe, a socket or a terminal ends when whoever writes it says so.
    """
    try:
        status = os.fstat(fd)
    except OSError as error:
        raise PlanError(f"{name} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise PlanError(f"{name} is a directory; name the image file inside it")
    if stat.S_ISCHR(status.st_mode) and status.st_rdev != _NULL and not os.isatty(fd):
        raise PlanError(
            f"{name} is a character device, which has no end: name a file or a block device, or send the bytes "
            "through a pipe (head -c SIZE)"
        )
    return status
