"""The descriptors that a client hands over: its image, and the file for the result or a bill of materials."""

from __future__ import annotations

import fcntl
import os
import stat

from douane.errors import AgentError


def check_image(fd: int) -> None:
    """Raise AgentError unless `fd` can be read and has an end: a regular file, or a pipe."""
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise AgentError("the image is a regular file or a pipe, and nothing else")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & os.O_PATH or flags & os.O_ACCMODE == os.O_WRONLY:
        raise AgentError("the image was not opened for reading")


def check_result(fd: int, image: int) -> None:
    """Raise AgentError unless `fd` is an empty regular file that can be written, and another than `image`.

    Bytes that were there before would stay where the result has holes, and its digests would not be the file's.
    """
    if os.path.samestat(os.fstat(fd), os.fstat(image)):
        raise AgentError("the result would overwrite the image while the image is read")
    check_file(fd)


def check_file(fd: int) -> None:
    """Raise AgentError unless `fd` is an empty regular file that can be written."""
    status = os.fstat(fd)
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if not stat.S_ISREG(status.st_mode) or flags & os.O_PATH or flags & os.O_ACCMODE == os.O_RDONLY:
        raise AgentError("the result goes into a regular file that is open for writing")
    if status.st_size:
        raise AgentError("the file for the result is not empty")
