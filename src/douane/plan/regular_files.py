"""Read a file that an author has made: a regular one, of a bounded length. Nothing else is opened."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from douane.units import MiB


def read_regular(path: str, most: int, *, is_cut: bool = False) -> bytes:
    """The content of `path`, or its beginning with `is_cut`. Raises OSError: for what is no regular file, whose reading
    could wait or never end, and for a file of more than `most` bytes."""
    with open(_opened(path), "rb", buffering=0) as file:
        content = bytearray()
        while len(content) <= most and (part := file.read(min(MiB, most + 1 - len(content)))):
            content += part
    if len(content) > most and not is_cut:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", path)
    return bytes(content[:most])


def parts_of_regular(path: str, most: int) -> tuple[int, Iterator[bytes]]:
    """The length of `path` and its content in parts. Raises OSError as `read_regular` does, the parts as well: if the
    file changes meanwhile."""
    fd = _opened(path)
    size = os.fstat(fd).st_size
    if size > most:
        os.close(fd)
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", path)
    return size, _parts(fd, size, path)


def _parts(fd: int, size: int, path: str) -> Iterator[bytes]:
    with open(fd, "rb", buffering=0) as file:
        remaining = size
        while remaining and (part := file.read(min(MiB, remaining))):
            remaining -= len(part)
            yield part
        if remaining or file.read(1):
            raise OSError(errno.EBUSY, "it changed while it was read", path)


def _opened(path: str) -> int:
    # Looked at first: to open a device can have an effect.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return fd
